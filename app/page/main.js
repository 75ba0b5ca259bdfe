/** The page, put together: what is looked at, and what is shown of it. */

import { showAnswer } from "./answer.js";
import { ApiProblem, classify, classifyUrl, cutout, decisionTree, model, onKeyWanted, patiently } from "./api.js";
import { html, part } from "./dom.js";
import { Overlay } from "./explanation.js";
import { listen } from "./inputs.js";
import { askForKey } from "./key_dialog.js";
import { loadGallery } from "./many.js";
import { showPicture } from "./picture.js";
import { addressOf, copy, nameOf, readAddress } from "./share.js";
import { ScoreTable } from "./table.js";
import { Tip } from "./tip.js";
import { TreeView } from "./tree_view.js";
import { passing, wordsOf } from "./words.js";

/**
 * @typedef {import("./share.js").Source} Source
 * @typedef {{source: Source, views: number|null, picture: Blob|null, note: string|null,
 *            classification: import("./api.js").Classification}} Look One that was answered.
 */

/** How many answers are kept for going back to them. */
const KEPT = 50;
const looks = new Map();
let current = null;
let working = new AbortController();
let gallery = null;
const { title } = document;

const tip = new Tip(part("tip"));
const tree = new TreeView(part("tree").querySelector(".canvas"), { onPoint: point, onHold: hold });
const table = new ScoreTable(part("scores").querySelector(".body"), hold);
const overlay = new Overlay({
	ask: (answer, signal) => patiently(() => classify(current.picture, { explain: answer, detail: "scores", views: 8, signal }), { signal }),
	onRelease: () => hold(null),
	onFailure: (error) => {
		status(wordsOf(error).what);
		if (!overlay.possible) table.show(current.classification, { explainable: false });
	},
});

// What is looked at, whatever answers it.

/**
 * Look at something: show its picture, ask the service, and show the answer.
 * @param {{views?: number|null, again?: boolean, entry?: "push"|"replace"|null, focus?: boolean}} [options] `again`
 *   asks about the same picture; `entry` is what becomes of the browser's history.
 */
async function look(source, { views = null, again = false, entry = "push", focus = true } = {}) {
	const { signal } = begin();
	if (!again) leave();
	enter("looking");
	status("The network is looking…");
	const onWait = (seconds) => status(`The service is busy. Trying again in ${seconds} s…`);
	try {
		const found = again ? current : await find(source, signal);
		const showing = found.picture && !again && showPicture(found.picture, source);
		const answered = await patiently(() => ask(found, views, signal), { signal, onWait });
		await (found.picture ? showing : showPicture(answered.picture, source));
		await show({ source, views, note: found.note, ...answered }, entry, signal);
		if (focus) settleFocus();
	} catch (error) {
		if (!signal.aborted) fail(error, () => look(source, { views, again, entry, focus }), again);
	}
}

/** The picture, or the address that the service is to fetch it from. */
async function find(source, signal) {
	if (source.kind === "file") return { picture: source.blob, note: null };
	if (source.kind === "url") return { url: source.url, note: null };
	if (source.kind === "position") {
		const { url, warning } = await cutout(source, { signal });
		return { url, note: warning };
	}
	const response = await fetch(new URL(`examples/${source.example}.jpg`, import.meta.url), { signal }).catch(() => {
		throw complaint("unreachable", "");
	});
	if (!response.ok) throw complaint("no_example", "There is no example of that name. Choose one of those shown.");
	return { picture: await response.blob(), note: null };
}

async function ask({ url, picture }, views, signal) {
	if (!picture) return classifyUrl(url, { views, signal });
	return { picture, classification: await classify(picture, { views, signal }) };
}

async function show(answered, entry, signal) {
	const questions = await decisionTree();
	signal.throwIfAborted();
	current = answered;
	const { classification, source, views } = answered;
	overlay.reset();
	tip.hide();
	enter("answered");
	showAnswer(classification, { name: nameOf(source), note: answered.note });
	part("tree").hidden = part("scores").hidden = false;
	tree.show(questions, classification);
	table.show(classification, { explainable: overlay.possible && Boolean(answered.picture) });
	document.title = `${nameOf(source)} – galaxytree`;
	status(classification.views === 1 ? "Answered from one view." : `Answered from ${classification.views} views.`);
	remember(answered, entry, addressOf(source, views));
}

/** Keep an answer for those who come back to it in the browser's history. */
function remember(answered, entry, address) {
	const id = (entry === null && history.state?.id) || Date.now() + Math.random();
	looks.set(id, answered);
	if (looks.size > KEPT) looks.delete(looks.keys().next().value);
	if (entry === "push") history.pushState({ id }, "", address);
	else history.replaceState({ id }, "", address);
}

/** Give up what is being done, for something else. */
function begin() {
	working.abort();
	working = new AbortController();
	part("problem").replaceChildren();
	status("");
	return working;
}

/** Take away what is shown of an earlier galaxy. */
function leave() {
	current = null;
	overlay.reset();
	tip.hide();
	showPicture(null);
	document.title = title;
	for (const id of ["answer", "tree", "scores", "gallery"]) part(id).hidden = true;
}

function enter(state) {
	document.body.dataset.state = state;
	document.body.classList.toggle("begun", state !== "start");
	part("main").setAttribute("aria-busy", String(state === "looking"));
	part("back").hidden = !gallery;
	part("share-note").textContent = part("copied").textContent = "";
	another(false);
}

function settleFocus() {
	part("drop").scrollIntoView({ block: "nearest" });
	part("summary").focus({ preventScroll: true });
}

function status(words) {
	part("status").textContent = words;
}

// What goes wrong.

/** A problem that the page finds by itself. */
function complaint(code, detail) {
	return new ApiProblem({ status: 0, code, detail });
}

function fail(error, retry, keep = false) {
	const { what, advice } = wordsOf(error);
	const button = passing(error) && html("button", {}, "Try again");
	if (button) button.addEventListener("click", retry);
	if (keep) {
		enter("answered");
		showAnswer(current.classification, { name: nameOf(current.source), note: current.note });
	} else if (gallery && history.state?.gallery) {
		showGallery();
	} else {
		leave();
		enter("start");
	}
	part("problem").replaceChildren(html("p", {}, html("b", {}, what), " ", advice), button || "");
	status("");
}

// What is pointed at, and what is held.

function labelled(answer) {
	const all = current?.classification.questions.flatMap(({ answers }) => answers);
	return answer && { answer, label: all.find(({ id }) => id === answer).label };
}

function point(pick, by) {
	const what = pick && labelled(pick.answer);
	overlay.point(what);
	part("pointed").textContent = what && by === "keyboard" ? what.label : "";
	if (!pick) return by === "pointer" ? tip.hideSoon() : tip.hide();
	const question = current.classification.questions.find(({ id }) => id === pick.question);
	tip.show(question, pick.answer, tree.nodeOf(pick.question), tree.path, tree.tree.voters);
}

function hold(answer) {
	// A second time it is let go.
	const next = answer === table.held ? null : answer;
	overlay.hold(labelled(next));
	tree.hold(next);
	table.hold(next);
}

// Many galaxies.

async function openGallery(files) {
	const { signal } = begin();
	if (!files.length) return fail(complaint("no_pictures", "There is no JPEG or PNG in that folder."), null, current);
	let loaded;
	try {
		loaded = await Promise.all([loadGallery(), decisionTree()]);
	} catch (error) {
		if (!signal.aborted) fail(error instanceof ApiProblem ? error : complaint("unreachable", ""), () => openGallery(files));
	}
	if (!loaded || signal.aborted) return;
	const [{ openGallery: open }, questions] = loaded;
	gallery?.close();
	history.pushState({ gallery: true }, "", location.pathname);
	showGallery();
	gallery = open(part("gallery"), files, { tree: questions, onOpen: openFromGallery });
}

function showGallery() {
	begin();
	leave();
	document.title = "Gallery – galaxytree";
	enter("gallery");
	part("gallery").hidden = false;
}

async function openFromGallery(file, classification) {
	const source = { kind: "file", blob: file, name: file.name };
	if (!classification.questions) return look(source);
	await showKept({ source, views: null, picture: file, note: null, classification }, "push");
}

async function showKept(kept, entry) {
	const { signal } = begin();
	leave();
	try {
		await showPicture(kept.picture, kept.source);
		await show(kept, entry, signal);
		if (entry) settleFocus();
	} catch (error) {
		if (!signal.aborted) fail(error, () => showKept(kept, entry));
	}
}

// Going back and forth, and sharing.

function arrive() {
	const { id, gallery: many } = history.state ?? {};
	if (looks.has(id)) return showKept(looks.get(id), null);
	if (many && gallery) return showGallery();
	const { source, views } = readAddress(location.search);
	if (source) return look(source, { views, entry: null, focus: false });
	begin();
	leave();
	enter("start");
}

async function share() {
	const words =
		current.source.kind === "file"
			? "A file can't be shared by an address: it is only on your computer. A picture on the web, or a position on the sky, can."
			: (await copy(location.href)) ? "The address of this view is copied." : `The address of this view: ${location.href}`;
	part("share-note").textContent = words;
}

/** On narrow screens the ways in are out of the way of an answer until they are asked for. */
function another(wanted) {
	document.body.classList.toggle("asking", wanted);
	part("another").setAttribute("aria-expanded", String(wanted));
	if (wanted) part("ways").scrollIntoView({ block: "nearest" });
}

part("share").addEventListener("click", share);
part("another").addEventListener("click", () => another(!document.body.classList.contains("asking")));
part("back").addEventListener("click", () => {
	history.pushState({ gallery: true }, "", location.pathname);
	showGallery();
});
part("copy-scores").addEventListener("click", async () => {
	part("copied").textContent = (await copy(table.asText())) ? "Copied. Paste it into a spreadsheet." : "This browser does not let the page copy.";
});
part("views").addEventListener("change", ({ target }) => look(current.source, { views: Number(target.value), again: true, entry: "replace", focus: false }));
document.addEventListener("keydown", ({ key }) => {
	if (key !== "Escape" || part("key").open) return;
	overlay.point(null);
	hold(null);
});
addEventListener("popstate", arrive);

onKeyWanted(askForKey);
listen({ onSource: (source) => look(source), onFiles: openGallery });
decisionTree().catch(() => {});
model().then(({ name, version, explainable }) => {
	part("running").textContent = `The network: ${name}, version ${version}.`;
	overlay.possible = explainable;
	if (current) table.show(current.classification, { explainable: explainable && Boolean(current.picture) });
}).catch(() => {});
arrive();
