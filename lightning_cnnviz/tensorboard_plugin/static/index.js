// The CNN Viz tab. TensorBoard imports this module in a frame of its own and calls `render`.
import * as api from "./api.js";
import { Clock } from "./clock.js";
import { h, options } from "./dom.js";
import { Empty } from "./empty.js";
import { RunData } from "./run.js";
import { State } from "./state.js";
import { followTheme, visible } from "./theme.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

const POLL = 3000; // milliseconds between two looks for news

class App {
  constructor() {
    this.state = new State();
    this.clock = new Clock();
    const step = this.state.get("step");
    if (step !== undefined) Object.assign(this.clock, { following: false, target: step });
    this.known = new Map(); // runs that were opened
    this.views = [];
    this.draw = this.draw.bind(this);
    this.changed = this.changed.bind(this);
    const select = (name, label) => h("select", { "aria-label": label, onchange: (event) => this.state.set({ [name]: event.target.value || undefined }) });
    this.run = select("run", "run");
    this.compare = select("compare", "run to compare with");
    this.link = h("button", { type: "button", class: "chip plain", onclick: () => this.share() }, "copy link");
    this.trouble = h("p", { class: "trouble", role: "alert", hidden: true });
    this.timeline = new Timeline(this.clock, this.changed);
    this.main = h("main");
    this.empty = new Empty();
    this.top = h("div", { class: "top" },
      h("div", { class: "bar" }, h("label", {}, "Run", this.run), h("label", {}, "Compare with", this.compare), this.link), this.timeline.element);
    document.body.replaceChildren(this.top, this.trouble, this.main, this.empty.element);
    this.state.listeners.push((changes) => this.chosen(changes));
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.changed());
    followTheme(() => this.changed());
  }

  /** Asks for a new picture at the next frame; `settled` when the time was set for good. */
  changed(settled) {
    if (settled === true) this.state.set({ step: this.clock.following ? undefined : this.clock.target ?? undefined });
    this.pending ??= requestAnimationFrame(this.draw);
  }

  chosen(changes) {
    if ("run" in changes || "compare" in changes) this.open();
    if ("layer" in changes && this.views.some(({ run }) => run.find("projection", changes.layer))) this.state.values.plot = changes.layer;
    this.changed();
  }

  async look() {
    if (visible()) {
      try {
        this.found = await api.runs();
        this.open();
        await Promise.all(this.views.map(({ run }) => run.refresh()));
        this.trouble.hidden = true;
      } catch (error) {
        this.trouble.textContent = `TensorBoard does not answer (${error.message}). Trying again every ${POLL / 1000} seconds.`;
        this.trouble.hidden = false;
      }
      this.settle();
    }
    setTimeout(() => this.look(), POLL);
  }

  /** Opens the runs that are chosen, as far as they are there. */
  open() {
    const names = this.found.runs.map((run) => run.name);
    const wanted = this.state.get("run");
    const first = names.includes(wanted) || this.known.has(wanted) ? wanted : names[0];
    const second = names.includes(this.state.get("compare")) && this.state.get("compare") !== first ? this.state.get("compare") : undefined;
    const shown = [first, second].filter((name) => name !== undefined);
    const label = (name) => [name, name || "."];
    options(this.run, [...new Set([...names, ...shown])].map(label), first);
    options(this.compare, [["", "no other run"], ...names.filter((name) => name !== first).map(label)], second);
    if (shown.join("\n") === this.views.map(({ run }) => run.name).join("\n") && this.views.length === shown.length) return;
    this.views = shown.map((name) => {
      if (!this.known.has(name)) this.known.set(name, new RunData(name, () => this.settle()));
      return new View(this.known.get(name), this.state, this.clock, this.changed, (step) => this.seek(step));
    });
    this.main.replaceChildren(...this.views.map((view) => view.element));
    this.main.classList.toggle("compared", shown.length > 1);
    for (const { run } of this.views) run.refresh().then(() => this.settle(), () => {});
  }

  /** New data are here: the time axis may have grown. */
  settle() {
    const steps = [...new Set(this.views.flatMap(({ run }) => run.steps))].sort((a, b) => a - b);
    if (steps.join() !== this.clock.steps.join() && !this.clock.playing && !this.clock.dragging) this.clock.setSteps(steps);
    this.changed();
  }

  seek(step) {
    this.clock.following = false;
    this.clock.seek(step);
    this.changed(true);
  }

  draw(now) {
    this.pending = null;
    if (this.clock.tick(now)) this.changed();
    else if (this.wasPlaying && !this.clock.playing) this.state.set({ step: this.clock.target });
    this.wasPlaying = this.clock.playing;
    const nothing = this.found && !this.views.length;
    this.empty.draw(nothing ? this.found : null);
    this.top.hidden = this.main.hidden = nothing;
    if (nothing || !this.views.length) return;
    this.timeline.draw(this.views);
    for (const view of this.views) view.draw(this.views.length > 1);
    if (!this.first && document.querySelector(".panel canvas")) this.first = performance.mark("cnnviz:first-picture");
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, input")) return;
    const act = { ArrowLeft: () => this.timeline.go(-1), ArrowRight: () => this.timeline.go(1), Home: () => this.timeline.go(-Infinity),
      End: () => this.timeline.go(Infinity), " ": () => this.timeline.toggle() }[event.key];
    if (!act || (event.key === " " && event.target.closest("button"))) return;
    event.preventDefault();
    act();
  }

  async share() {
    try {
      await navigator.clipboard.writeText(this.state.link);
      this.link.textContent = "copied";
    } catch {
      this.link.textContent = "copy the address above";
    }
    setTimeout(() => { this.link.textContent = "copy link"; }, 2000);
  }
}

export async function render() {
  const sheet = h("link", { rel: "stylesheet", href: new URL("style.css", import.meta.url).href });
  const loaded = new Promise((resolve) => Object.assign(sheet, { onload: resolve, onerror: resolve }));
  document.head.append(h("meta", { name: "viewport", content: "width=device-width" }), sheet);
  document.documentElement.lang = "en";
  document.title = "CNN Viz";
  await loaded;
  await new App().look();
}
