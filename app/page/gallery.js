/** Many galaxies at once: a gallery that fills as answers come. */

import { classify } from "./api.js";
import { html } from "./dom.js";
import { Controls } from "./gallery_controls.js";
import { save, toCsv, toJson } from "./gallery_export.js";
import { passes, sorted } from "./gallery_filter.js";
import { Grid } from "./gallery_grid.js";
import { Progress } from "./gallery_progress.js";
import { ScoringQueue } from "./gallery_queue.js";

// While answers come, pictures change places no more often than this.
const REORDER_MS = 1500;

/**
 * Score pictures and show them. The caller may hide the host and show it again: all is kept, and goes on meanwhile.
 * @param {{tree: object,
 *   onOpen: (file: File, classification: import("./api.js").Classification) => void}} about
 * @returns {{close: () => void}} `close` cancels what is under way and empties the host.
 */
export function openGallery(host, files, { tree, onOpen }) {
	const entries = files.map((file, index) => ({ index, file, name: file.webkitRelativePath || file.name }));
	const title = html("h2", { id: "gallery-title", tabindex: -1 }, `${files.length} ${files.length === 1 ? "picture" : "pictures"}`);
	const keys = html("p", { id: "gallery-keys" }, "Enter opens a galaxy’s tree; the arrow keys go from one to the next. A ? marks what is unlike the training galaxies.");
	let frame = 0;
	let timer = 0;
	let arranged = 0;
	let arrive = () => title.focus({ preventScroll: true });

	const grid = new Grid(tree, (entry) => {
		if (entry.status === "failed") return queue.add([entry]);
		const top = scrollY;
		arrive = () => {
			scrollTo({ top, behavior: "instant" });
			grid.focus();
		};
		return onOpen(entry.file, entry.classification);
	});
	const score = (picture, signal) => classify(picture, { detail: "full", priority: "bulk", signal });
	const queue = new ScoringQueue(score, (entry) => {
		if (entry) grid.update(entry);
		frame ||= requestAnimationFrame(draw);
	});
	const progress = new Progress(entries, queue);
	const controls = new Controls(tree, () => progress.announce(arrange()), (ending, onlyShown) => {
		const rows = chosen(!onlyShown);
		save(ending === "csv" ? toCsv(rows, tree) : toJson(rows), ending, rows.length);
	});

	function draw() {
		frame = 0;
		grid.flush();
		progress.draw();
		clearTimeout(timer);
		const wait = queue.phase === "done" ? 0 : arranged + REORDER_MS - performance.now();
		if (wait > 0) timer = setTimeout(arrange, wait);
		else arrange();
	}

	function chosen(all = false) {
		return sorted(all ? entries : entries.filter(passes(controls.filter, tree)), controls.order);
	}

	function arrange() {
		arranged = performance.now();
		const shown = chosen();
		grid.show(shown, controls.order.key);
		return controls.say(shown.length, entries.length);
	}

	host.replaceChildren(title, progress.element, controls.element, keys, grid.element);
	grid.add(entries);
	queue.add(entries);
	progress.draw();
	arrange();

	// Whoever comes, or comes back from one galaxy, finds the place.
	const visible = new ResizeObserver(() => {
		if (!host.offsetHeight) return;
		arrive();
		arrive = () => {};
	});
	visible.observe(host);

	return {
		close() {
			queue.close();
			cancelAnimationFrame(frame);
			clearTimeout(timer);
			visible.disconnect();
			progress.close();
			grid.close();
			host.replaceChildren();
		},
	};
}
