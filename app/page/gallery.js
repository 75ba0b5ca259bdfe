// Many galaxies at once: a gallery that fills as answers come.

import { classify } from "./api.js";
import { Controls } from "./gallery_controls.js";
import { save, toCsv, toJson } from "./gallery_export.js";
import { passes, sorted } from "./gallery_filter.js";
import { Grid, make } from "./gallery_grid.js";
import { GalleryProgress } from "./gallery_progress.js";
import { ScoringQueue } from "./gallery_queue.js";

// While answers come, cells change places no more often than this.
const REORDER_MS = 1500;

/**
 * Score pictures and show them; the caller shows `host`, and may hide and show it again: all is kept meanwhile.
 * @param {HTMLElement} host is emptied
 * @param {File[]} files
 * @param {object} about
 * @param {object} about.tree the service's decision tree
 * @param {(file: File, classification: object) => void} about.onOpen is called with the galaxy that was chosen
 * @returns {{close: () => void}} `close` cancels what is under way and empties the host
 */
export function openGallery(host, files, { tree, onOpen }) {
  const entries = files.map((file, index) => ({ index, file, name: file.webkitRelativePath || file.name }));
  let frame = 0;
  let arrangeAt = 0;
  let timer = 0;
  let scroll = null;

  const queue = new ScoringQueue(
    (picture, signal) => classify(picture, { detail: "full", priority: "bulk", signal }),
    (entry) => {
      if (entry) grid.update(entry);
      frame ||= requestAnimationFrame(draw);
    },
  );
  const progress = new GalleryProgress(entries, queue, (again) => queue.add(again));
  const controls = new Controls(tree, () => progress.announce(arrange()), saveTable);
  const grid = new Grid(tree, (entry) => {
    if (entry.status === "failed") return queue.add([entry]);
    scroll = scrollY;
    return onOpen(entry.file, entry.classification);
  });

  function draw() {
    frame = 0;
    grid.flush();
    progress.draw();
    const wait = arrangeAt - performance.now();
    clearTimeout(timer);
    if (wait <= 0 || queue.phase === "done") arrange();
    else timer = setTimeout(arrange, wait);
  }

  function chosen(all = false) {
    const passing = all ? entries : entries.filter(passes(controls.filter, tree));
    return sorted(passing, controls.order);
  }

  function arrange() {
    arrangeAt = performance.now() + REORDER_MS;
    const shown = chosen();
    grid.show(shown, controls.order.key);
    none.hidden = shown.length > 0;
    return controls.say(shown.length, entries.length);
  }

  function saveTable(ending) {
    const rows = chosen(!controls.onlyShown);
    save(ending === "csv" ? toCsv(rows, tree) : toJson(rows), ending, rows.length);
  }

  const none = make("p", { id: "gallery-none", hidden: true }, "No galaxy that has been scored fits.");
  const keys = make("p", { id: "gallery-keys" }, "Enter opens a galaxy’s tree; the arrow keys go from one to the next.");
  const title = make("h2", { id: "gallery-title", tabIndex: -1 }, `${entries.length} ${entries.length === 1 ? "picture" : "pictures"}`);
  host.replaceChildren(title, progress.element, controls.element, keys, none, grid.element);
  queue.add(entries);
  grid.add(entries);
  arrange();
  title.focus({ preventScroll: true });

  // Whoever comes back from one galaxy finds everything where it was.
  const back = new ResizeObserver(() => {
    if (scroll === null || !host.offsetHeight) return;
    scrollTo({ top: scroll, behavior: "instant" });
    scroll = null;
    grid.focus();
  });
  back.observe(host);

  return {
    close() {
      queue.close();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      back.disconnect();
      progress.close();
      grid.close();
      host.replaceChildren();
    },
  };
}

if (!document.querySelector('link[href$="gallery.css"]')) {
  document.head.append(make("link", { rel: "stylesheet", href: new URL("gallery.css", import.meta.url).href }));
}
