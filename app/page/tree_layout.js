/**
 * Where the decision tree's parts lie: from a tree and its scores to coordinates. Nothing here touches the page.
 *
 * Questions lie in layers, each after all that lead to it; what passes a layer by takes a lane there. All is worked out
 * *along* the flow and *across* it, and turned to x and y at the end: so the same tree runs to the right or down.
 *
 * @typedef {"right"|"down"} Direction
 * @typedef {{x: number, y: number}} Point
 *
 * @typedef {Point & {id: string, length: number, room: number, onPath: boolean}} QuestionPlace
 *   Where its bar begins, how long that is, and how much room its heading has.
 *
 * @typedef {{id: string, question: string, score: number, width: number, thin: boolean, d: string, middle: string,
 *   label: Point & {room: number}, end: Point, leaf: boolean, onPath: boolean}} AnswerPlace
 *   Of a branch: `width` is the score times the scale, exactly; `d` the outline, and `middle` the line in the middle, as
 *   SVG has it; `thin` whether its label lies above it instead of on it; `leaf` whether no question follows.
 *
 * @typedef {{direction: Direction, width: number, height: number, questions: QuestionPlace[], answers: AnswerPlace[]}} Layout
 */

/**
 * Pixels. `text` is what a label takes across the flow where its branch is thinner than `thin`, and so lies below it;
 * `run` is the part of the way to the next layer that a branch goes straight.
 */
const ROOM = {
	right: { text: 14, thin: 15, head: 50, gap: 12, run: 0.6, scale: 230, pad: 4, start: 0 },
	down: { text: 0, thin: 0, head: 0, gap: 12, run: 0.42, scale: 440, pad: 2, start: 22 },
};
const BAR = 4;
const INTERVAL_DOWN = 112;

/** How much more it counts that a branch goes straight from lane to lane than from or to a question. */
const STRAIGHT = 8;

/** @param {Iterable<string>} path The answers of the likeliest path. */
export function layOut(tree, scores, path, { width, direction }) {
	const onPath = new Set(path);
	const down = direction === "down";
	let room = ROOM[direction];
	let plan = planned(tree, scores, room);
	while (down && plan.extent > width && room.scale > 40) {
		room = { ...room, scale: room.scale * 0.97 };
		plan = planned(tree, scores, room);
	}
	const extent = down ? width : plan.extent;
	settle(plan, extent, room.gap);
	// The last layer holds nothing but ends, which lie before it.
	const steps = plan.layers.length - 1;
	const interval = down ? INTERVAL_DOWN : width / steps;
	const along = ({ layer }) => room.start + layer * interval;
	const turned = (a, c) => (down ? { x: c, y: a } : { x: a, y: c });

	const questions = tree.questions.map(({ id, answers }) => {
		const item = plan.items.get(id);
		const after = plan.layers[item.layer].find((other) => other.at > item.at && other.kind === "question");
		return {
			id,
			...turned(along(item), item.at + item.head),
			length: item.size - item.head,
			room: down ? (after?.at ?? extent) - item.at : interval,
			onPath: answers.some((answer) => onPath.has(answer.id)),
		};
	});

	const answers = plan.branches.map((branch) => {
		const { id, from, to, leaves, width: wide, thin } = branch;
		const leaf = to.kind === "leaf";
		const begin = along(from) + BAR;
		const end = leaf ? [along(from) + interval * (down ? 0.5 : 0.96), leaves] : [along(to), branch.arrives];
		const points = [[begin, leaves], ...branch.lanes.map(({ item, offset }) => [along(item), item.at + offset]), end];
		const half = Math.max(0.75, wide) / 2;
		return {
			id,
			question: from.key,
			score: scores[id] ?? 0,
			width: wide,
			thin,
			d: outline(points, interval * room.run, half, turned),
			middle: line(points, interval * room.run, turned),
			label: { ...turned(begin + 5, leaves), room: down ? branch.slot : interval - 18 },
			end: turned(...end),
			leaf,
			onPath: onPath.has(id),
		};
	});
	const length = room.start + interval * (steps - 0.4);
	return { direction, width, height: down ? length : extent, questions, answers };
}

/** Put the tree's parts into layers, in an order in which branches don't cross: that in which answers lead there. */
function planned(tree, scores, room) {
	const questions = new Map(tree.questions.map((question) => [question.id, question]));
	const layerOf = layersOf(tree);
	const [items, layers, branches] = [new Map(), [], []];
	const add = (kind, key, layer, size, head = 0) => {
		const item = { kind, key, layer, size, head, at: 0 };
		items.set(key, item);
		(layers[layer] ??= []).push(item);
		return item;
	};

	const visit = (id) => {
		const layer = layerOf.get(id);
		const sized = questions.get(id).answers.map((answer) => {
			const width = (scores[answer.id] ?? 0) * room.scale;
			const size = Math.max(1, width);
			const thin = size < room.thin;
			return { id: answer.id, next: answer.next, width, size, thin, slot: size + room.pad + (thin ? room.text : 0) };
		});
		const from = add("question", id, layer, room.head + sum(sized.map(({ slot }) => slot)), room.head);
		let offset = room.head;
		for (const { next, ...answer } of sized) {
			const lanes = [];
			for (let between = layer + 1; between < layerOf.get(next); between += 1) {
				const key = `${id}>${next}@${between}`;
				const item = items.get(key) ?? add("lane", key, between, 0);
				lanes.push({ item, offset: item.size + answer.size / 2 });
				item.size += answer.size;
			}
			if (questions.has(next) && !items.has(next)) visit(next);
			const to = items.get(next) ?? add("leaf", answer.id, layer + 1, answer.slot);
			const shift = answer.thin ? answer.slot - (answer.size + room.pad) / 2 : answer.slot / 2;
			branches.push({ ...answer, from, to, lanes, offset: offset + shift, leaves: 0, arrives: 0 });
			offset += answer.slot;
		}
	};
	const followers = new Set(tree.questions.flatMap(({ answers }) => answers.map(({ next }) => next)));
	for (const id of questions.keys()) if (!followers.has(id)) visit(id);
	const extent = Math.max(...layers.map((layer) => sum(layer.map(({ size }) => size)) + room.gap * (layer.length - 1)));
	return { items, layers, branches, extent };
}

/** Each question's layer: one after the last of those that lead to it. */
function layersOf(tree) {
	const layers = new Map(tree.questions.map(({ id }) => [id, 0]));
	// A tree has no circles, so that it settles in as many rounds as there are questions.
	for (const _ of tree.questions) {
		for (const { id, answers } of tree.questions) {
			for (const { next } of answers) if (layers.has(next)) layers.set(next, Math.max(layers.get(next), layers.get(id) + 1));
		}
	}
	return layers;
}

/** Move everything to where its branches are as straight as the others leave room for. */
function settle({ layers, branches }, extent, gap) {
	for (const layer of layers) spread(layer, new Map(), extent, gap);
	for (let round = 0; round < 12; round += 1) {
		for (const layer of round % 2 ? layers.toReversed() : layers) {
			ports(branches);
			spread(layer, wishes(branches, layer[0].layer), extent, gap);
		}
	}
	ports(branches);
}

/** By how much a layer's items had best move, summed up with weights. */
function wishes(branches, layer) {
	const moves = new Map();
	for (const branch of branches) {
		const stops = stopsOf(branch);
		for (const [index, to] of stops.entries()) {
			const from = stops[index - 1];
			if (!from) continue;
			const straight = from.item.kind === "lane" && to.item.kind === "lane";
			const weight = (branch.size + 0.5) * (straight ? STRAIGHT : 1);
			// Looking ahead counts for less, so that flows line up with where they come from.
			for (const [item, shift, counts] of [[to.item, from.across - to.across, weight], [from.item, to.across - from.across, straight ? weight : weight / 3]]) {
				if (item.layer !== layer) continue;
				const [total, weights] = moves.get(item) ?? [0, 0];
				moves.set(item, [total + shift * counts, weights + counts]);
			}
		}
	}
	return moves;
}

/** A branch's way: at which item it is where, across the flow. */
function stopsOf({ from, to, lanes, leaves, arrives, slot }) {
	return [
		{ item: from, across: leaves },
		...lanes.map(({ item, offset }) => ({ item, across: item.at + offset })),
		{ item: to, across: to.kind === "leaf" ? to.at + slot / 2 : arrives },
	];
}

/** Work out where branches leave and arrive from where their questions lie. */
function ports(branches) {
	const arriving = new Map();
	for (const branch of branches) {
		branch.leaves = branch.from.at + branch.offset;
		if (branch.to.kind === "question") arriving.set(branch.to, [...(arriving.get(branch.to) ?? []), branch]);
	}
	for (const [item, those] of arriving) {
		those.sort((one, other) => stopsOf(one).at(-2).across - stopsOf(other).at(-2).across);
		let at = item.at + (item.size + item.head - sum(those.map(({ size }) => size))) / 2;
		for (const branch of those) {
			branch.arrives = at + branch.size / 2;
			at += branch.size;
		}
	}
}

/** Move a layer's items as they wish, in their order, without overlaps and within the bounds. */
function spread(layer, moves, extent, gap) {
	let least = 0;
	for (const item of layer) {
		const [shift, weight] = moves.get(item) ?? [0, 1];
		item.at = Math.max(least, item.at + shift / weight);
		least = item.at + item.size + gap;
	}
	let most = extent;
	for (const item of layer.toReversed()) {
		item.at = Math.min(item.at, most - item.size);
		most = item.at - gap;
	}
}

/** A line through points that leaves and arrives along the flow, straight at first, where the label is. */
function line(points, run, turned) {
	const at = writer(turned);
	const parts = legs(points, run).map(({ straight, bends, end }) => `L${at(straight)}C${[...bends, end].map(at).join(" ")}`);
	return `M${at(points[0])}${parts.join("")}`;
}

/** The outline of a branch: along its one side, and back along the other. */
function outline(points, run, half, turned) {
	const at = writer(turned);
	const beside = (shift) => points.map(([a, c]) => [a, c + shift]);
	const back = beside(half);
	const parts = legs(back, run).map(({ straight, bends }, index) => `C${[...bends.toReversed(), straight].map(at).join(" ")}L${at(back[index])}`);
	return `${line(beside(-half), run, turned)}L${at(back.at(-1))}${parts.toReversed().join("")}Z`;
}

/** From each point to the next: first straight, then in a bend. */
function legs(points, run) {
	return points.slice(1).map(([a1, c1], index) => {
		const [a0, c0] = points[index];
		const begin = index === 0 ? Math.min(a0 + run, a1) : a0 + 0.2 * (a1 - a0);
		const middle = (begin + a1) / 2;
		return { straight: [begin, c0], bends: [[middle, c0], [middle, c1]], end: [a1, c1] };
	});
}

function writer(turned) {
	return (point) => {
		const { x, y } = turned(...point);
		return `${x.toFixed(1)} ${y.toFixed(1)}`;
	};
}

function sum(numbers) {
	return numbers.reduce((total, number) => total + number, 0);
}
