"""Statistics accumulated over steps and epochs."""
