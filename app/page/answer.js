/** An answer in words, beside its picture: the sentence, its warnings, and the likeliest path. */

import { html, part } from "./dom.js";
import { percent } from "./words.js";

/** Above this the service itself warns. */
const UNLIKE = 0.5;

/** Take a summary apart: it begins with a sentence of warning where the picture is unlike what the network knows. */
export function sentences({ summary = "", out_of_domain: unlike = 0 }) {
	const end = summary.indexOf(". ") + 1;
	if (unlike <= UNLIKE || !end) return { warning: "", sentence: summary };
	return { warning: summary.slice(0, end), sentence: summary.slice(end + 1) };
}

/** @param {{name: string, note: string|null}} about What was looked at, and what is to be said of its picture. */
export function showAnswer(classification, { name, note }) {
	const { warning, sentence } = sentences(classification);
	part("summary").textContent = sentence;
	const unlike = classification.out_of_domain ?? 0;
	say("warning", warning && `${warning} How unlike, from 0 to 1: ${unlike.toFixed(2)}. Don't trust the numbers: what works is a picture framed on one galaxy.`);
	say("survey-note", note && `${note.charAt(0).toUpperCase()}${note.slice(1)}.`);
	part("way").replaceChildren(...steps(classification));
	const { width, height, format } = classification.image;
	part("facts").textContent = `${name} · ${format}, ${width} × ${height} pixels`;
	for (const radio of part("views").querySelectorAll("input")) radio.checked = Number(radio.value) === classification.views;
	part("answer").hidden = false;
}

function steps({ questions = [], path = [] }) {
	const answers = new Map(questions.flatMap(({ answers: theirs }) => theirs).map((answer) => [answer.id, answer]));
	return path.map((id) => {
		const answer = answers.get(id);
		return html("li", {}, answer?.label ?? id, " ", html("b", {}, percent(answer?.fraction ?? 0)));
	});
}

function say(id, words) {
	part(id).textContent = words || "";
	part(id).hidden = !words;
}
