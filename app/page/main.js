/** The page, put together: what is looked at, and what is shown of it. */

import { showAnswer } from "./answer.js";
import { ApiProblem, classify, classifyUrl, cutout, decisionTree, model, onKeyWanted, patiently } from "./api.js";
import { html, part } from "./dom.js";
import { Overlay } from "./explanation.js";
import { listen } from "./inputs.js";
import { askForKey } from "./key_dialog.js";
import { addressOf, copy, nameOf, readAddress } from "./share.js";
import { ScoreTable } from "./table.js";
import { Tip } from "./tip.js";
import { TreeView } from "./tree_view.js";
import { voters, wordsOf } from "./words.js";

/**
 * @typedef {import("./share.js").Source} Source
 * @typedef {{source: Source, views: number|null, picture: Blob|null, note: string|null,
 *            classification: import("./api.js").Classification}} Look One that was answered.
 */

/** How many answers are kept for going back to them. */
const KEPT = 50;

/** @type {Map<number, Look>} */
const looks = new Map();
/** @type {Look|null} */
let current = null;
let working = new AbortController();
/** @type {{close: () => void}|null} */
let gallery = null;

const image = /** @type {HTMLImageElement} */ (document.querySelector("#picture img"));
const tip = new Tip(part("tip"));
const tree = new TreeView(part("tree").querySelector(".canvas"), { onPoint: point, onHold: ({ answer }) => hold(answer) });
const table = new ScoreTable(part("scores").querySelector(".body"), hold);
const overlay = new Overlay(part("overlay"), image, part("legend"), {
  fetch: (answer, signal) => patiently(() => classify(pictureOf(), { explain: answer, detail: "scores", views: 1, signal }), { signal }),
  onRelease: () => hold(null),
  onImpossible: () => {
    status("This network can't show where it looked.");
    if (current) table.show(current.classification, { explainable: false });
  },
  onFailure: (error) => status(wordsOf(/** @type {ApiProblem} */ (error)).what),
});

/** What is looked at, whatever answers it. */

/**
 * Look at something: show its picture, ask the service, and show the answer.
 * @param {Source} source
 * @param {{views?: number|null, again?: boolean, entry?: "push"|"replace"|null, focus?: boolean}} [options]
 */
async function look(source, { views = null, again = false, entry = "push", focus = true } = {}) {
  working.abort();
  working = new AbortController();
  const { signal } = working;
  clearProblem();
  if (!again) leave();
  part("main").setAttribute("aria-busy", "true");
  document.body.dataset.state = "looking";
  status("The network is looking…");
  const onWait = (/** @type {number} */ seconds) => status(`The service is busy. Trying again in ${seconds} s…`);
  try {
    const told = decisionTree();
    const found = again ? { picture: pictureOf(), note: current?.note ?? null } : await find(source, signal);
    if (found.picture && !again) await showPicture(found.picture, source);
    const answered = await patiently(() => ask(found, views, signal), { signal, onWait });
    if (!found.picture) await showPicture(answered.picture, source);
    await told;
    signal.throwIfAborted();
    await show({ source, views, note: found.note, ...answered }, entry);
    if (focus) settleFocus();
  } catch (error) {
    if (signal.aborted) return;
    fail(error, () => look(source, { views, again, entry, focus }), again);
  }
}

/** Have the picture, or the address that the service is to fetch it from. */
async function find(/** @type {Source} */ source, /** @type {AbortSignal} */ signal) {
  if (source.kind === "file") return { picture: source.blob, note: null };
  if (source.kind === "url") return { url: source.url, picture: null, note: null };
  if (source.kind === "position") {
    const { url, warning } = await cutout(source, { signal });
    return { url, picture: null, note: warning };
  }
  const response = await fetch(new URL(`examples/${source.example}.jpg`, import.meta.url), { signal }).catch((error) => {
    if (signal.aborted) throw error;
    throw new ApiProblem({ status: 0, code: "unreachable", detail: "" });
  });
  if (!response.ok) throw new ApiProblem({ status: 404, code: "no_example", detail: "There is no example of that name. Choose one of those shown." });
  return { picture: await response.blob(), note: null };
}

async function ask({ url, picture }, views, signal) {
  if (picture) return { picture, classification: await classify(picture, { views, signal }) };
  return classifyUrl(url, { views, signal });
}

/** Show an answer, and give it an entry in the browser's history. */
async function show(/** @type {Look} */ answered, /** @type {"push"|"replace"|null} */ entry) {
  current = answered;
  const { classification, source, note } = answered;
  const questions = await decisionTree();
  overlay.reset();
  tip.hide();
  document.body.dataset.state = "answered";
  part("main").removeAttribute("aria-busy");
  part("gallery").hidden = true;
  part("back").hidden = !gallery;
  showAnswer(classification, { name: nameOf(source), note });
  part("tree").hidden = part("scores").hidden = false;
  tree.hold(null);
  tree.show(questions, classification);
  table.hold(null);
  table.show(classification, { explainable: overlay.possible && Boolean(answered.picture) });
  part("share-note").textContent = part("copied").textContent = "";
  document.title = `${nameOf(source)} – galaxytree`;
  status(classification.views === 1 ? "Answered from one view." : `Answered from ${classification.views} views.`);
  remember(answered, entry);
}

function remember(/** @type {Look} */ answered, /** @type {"push"|"replace"|null} */ entry) {
  const id = entry === null && history.state?.id ? history.state.id : Date.now() + Math.random();
  looks.set(id, answered);
  if (looks.size > KEPT) looks.delete([...looks.keys()][0]);
  const address = addressOf(answered.source, answered.views);
  if (entry === "push") history.pushState({ id }, "", address);
  else history.replaceState({ id }, "", address);
}

function pictureOf() {
  if (!current?.picture) throw new ApiProblem({ status: 422, code: "not_explainable", detail: "" });
  return current.picture;
}

async function showPicture(/** @type {Blob|null} */ blob, /** @type {Source} */ source) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.hidden = true;
  if (!blob) return image.removeAttribute("src");
  image.src = URL.createObjectURL(blob);
  image.alt = `What was looked at: ${nameOf(source)}`;
  try {
    await image.decode();
  } catch {
    // No picture, or of a kind that this browser doesn't show; the service says what is wrong with it.
    return;
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  const fit = /** @type {HTMLElement} */ (image.parentElement);
  fit.style.width = `${100 * Math.min(1, width / height)}%`;
  fit.style.height = `${100 * Math.min(1, height / width)}%`;
  image.hidden = false;
}

/** Take away what is shown of an earlier galaxy. */
function leave() {
  current = null;
  overlay.reset();
  tip.hide();
  image.hidden = true;
  for (const id of ["answer", "tree", "scores", "gallery"]) part(id).hidden = true;
}

function settleFocus() {
  part("drop").scrollIntoView({ block: "nearest" });
  part("summary").focus({ preventScroll: true });
}

/** What goes wrong. */

function fail(/** @type {unknown} */ error, /** @type {() => void} */ retry, keep = false) {
  const { what, advice } = wordsOf(/** @type {ApiProblem} */ (error));
  const button = html("button", { type: "button" }, "Try again");
  button.addEventListener("click", retry);
  part("problem").replaceChildren(html("p", {}, html("b", {}, what), " ", advice), button);
  part("main").removeAttribute("aria-busy");
  status("");
  if (keep && current) {
    document.body.dataset.state = "answered";
    showAnswer(current.classification, { name: nameOf(current.source), note: current.note });
  } else {
    document.body.dataset.state = "start";
    leave();
    part("back").hidden = !gallery;
  }
}

function clearProblem() {
  part("problem").replaceChildren();
}

function status(/** @type {string} */ words) {
  part("status").textContent = words;
}

/** What is pointed at. */

function labelled(/** @type {string} */ answer) {
  const all = current?.classification.questions?.flatMap(({ answers }) => answers) ?? [];
  return { answer, label: all.find(({ id }) => id === answer)?.label ?? answer };
}

async function point(/** @type {import("./tree_view.js").Pick|null} */ pick, /** @type {string} */ how) {
  const question = current?.classification.questions?.find(({ id }) => id === pick?.question);
  const node = pick && tree.nodeOf(pick.question);
  overlay.point(pick && current ? labelled(pick.answer) : null);
  if (!question || !node || !pick) return how === "pointer" ? tip.hideSoon() : tip.hide();
  tip.show(question, pick.answer, node, current?.classification.path ?? [], voters(await decisionTree()));
}

function hold(/** @type {string|null} */ answer) {
  const next = answer === table.held ? null : answer;
  overlay.hold(next === null ? null : labelled(next));
  tree.hold(next);
  table.hold(next);
}

/** Many galaxies. */

async function openGallery(/** @type {File[]} */ files) {
  working.abort();
  clearProblem();
  if (!files.length) {
    return fail(new ApiProblem({ status: 0, code: "no_pictures", detail: "There is no JPEG or PNG in that folder." }), () => part("folder").click());
  }
  try {
    const [{ openGallery: open }, questions] = await Promise.all([import("./gallery.js"), decisionTree(), stylesheet("gallery.css")]);
    gallery?.close();
    gallery = open(part("gallery"), files, { tree: questions, onOpen: openFromGallery });
    history.pushState({ gallery: true }, "", location.pathname);
    showGallery();
  } catch (error) {
    fail(error instanceof ApiProblem ? error : new ApiProblem({ status: 0, code: "unreachable", detail: "" }), () => openGallery(files));
  }
}

/** @returns {Promise<void>} */
function stylesheet(/** @type {string} */ name) {
  if (document.querySelector(`link[href$="${name}"]`)) return Promise.resolve();
  const link = html("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href });
  document.head.append(link);
  return new Promise((resolve) => {
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => resolve());
  });
}

function showGallery() {
  working.abort();
  leave();
  clearProblem();
  status("");
  document.title = "Gallery – galaxytree";
  document.body.dataset.state = "gallery";
  part("gallery").hidden = false;
  part("back").hidden = true;
}

async function openFromGallery(/** @type {File} */ file, /** @type {import("./api.js").Classification} */ classification) {
  const source = /** @type {Source} */ ({ kind: "file", blob: file, name: file.name });
  if (!classification.questions) return look(source);
  leave();
  clearProblem();
  await showPicture(file, source);
  await show({ source, views: null, picture: file, note: null, classification }, "push");
  settleFocus();
}

/** Going back and forth, and sharing. */

async function arrive(focus = false) {
  const kept = looks.get(history.state?.id);
  if (kept) {
    working.abort();
    clearProblem();
    leave();
    await showPicture(kept.picture, kept.source);
    return show(kept, null);
  }
  if (history.state?.gallery && gallery) return showGallery();
  const { source, views } = readAddress(location.search);
  if (source) return look(source, { views, entry: null, focus });
  working.abort();
  leave();
  clearProblem();
  status("");
  document.title = "galaxytree: what would forty volunteers see?";
  document.body.dataset.state = "start";
}

async function share() {
  const file = current?.source.kind === "file";
  const copied = !file && (await copy(location.href));
  part("share-note").textContent = file
    ? "A file can't be shared by its address: it is only on your computer. Share its web address, or a position on the sky."
    : copied ? "The address of this view is copied." : `The address of this view: ${location.href}`;
  status(part("share-note").textContent);
}

part("share").addEventListener("click", share);
part("back").addEventListener("click", () => {
  history.pushState({ gallery: true }, "", location.pathname);
  showGallery();
});
part("copy-scores").addEventListener("click", async () => {
  part("copied").textContent = (await copy(table.asText())) ? "Copied. Paste it into a spreadsheet." : "This browser does not let the page copy.";
});
part("views").addEventListener("change", (/** @type {Event} */ event) => {
  if (current) look(current.source, { views: Number(/** @type {HTMLInputElement} */ (event.target).value), again: true, entry: "replace", focus: false });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && table.held) hold(null);
});
addEventListener("popstate", () => arrive());

onKeyWanted(askForKey);
listen({ onSource: (source) => look(source), onFiles: openGallery });
decisionTree().catch(() => {});
model().then(({ name, version }) => (part("running").textContent = `The network: ${name}, version ${version}.`)).catch(() => {});
arrive();
