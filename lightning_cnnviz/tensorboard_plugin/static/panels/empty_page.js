// What to do where no run has anything to show.
import { h } from "../draw/dom.js";

const CODE = `from lightning_cnnviz import cnnviz_callbacks

trainer = pl.Trainer(callbacks=cnnviz_callbacks())
trainer.fit(model, datamodule=data)`;

/** The page for a list of runs without data of ours. */
export function emptyPage(runs) {
	const listed = `Runs without data for this tab: ${runs.slice(0, 8).join(", ")}${runs.length > 8 ? " and others" : ""}.`;
	return [
		h("h1", "", "Nothing to see yet"),
		h("p", "", "CNN Viz shows the inside of a network through its whole training. Add the callbacks to the Trainer:"),
		h("pre", "", CODE),
		h(
			"p",
			"",
			"or single ones: KernelGrid(), FeatureMaps(), FilterResponse(), EmbeddingProjection(), GradientFlow(), ActivationStats(), LossAccuracy(), InputPartition().",
		),
		h("p", "", "This page updates by itself as soon as the first step is written."),
		h("p", "aside", runs.length ? listed : "There are no runs in the log directory."),
	];
}
