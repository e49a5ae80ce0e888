"""How a network with two inputs cuts their plane into cells."""
