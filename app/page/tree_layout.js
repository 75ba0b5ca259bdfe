/**
 * Where the decision tree's parts lie: from a tree and its scores to coordinates. Nothing here touches the page.
 *
 * Questions lie in layers, each after all that lead to it, and votes flow along from one layer to the next. What passes
 * a layer by takes a lane there. Everything is worked out *along* the flow and *across* it; turned to x and y at the end,
 * the same tree runs from left to right or from top to bottom.
 *
 * @typedef {import("./api.js").Tree} Tree
 * @typedef {"right"|"down"} Direction
 *
 * @typedef {object} QuestionPlace
 * @property {string} id
 * @property {number} x Where its bar begins.
 * @property {number} y
 * @property {number} length How long its bar is, across the flow.
 * @property {number} room How much room its heading has, across the flow.
 * @property {boolean} onPath
 *
 * @typedef {object} AnswerPlace
 * @property {string} id
 * @property {string} question
 * @property {number} score
 * @property {number} width Of its branch: the score times the scale, exactly.
 * @property {string} d The branch's outline, as SVG has it.
 * @property {string} middle The line in its middle.
 * @property {{x: number, y: number, room: number}} label Where its label is, and how much room it has there.
 * @property {boolean} thin Whether its label lies above it instead of on it.
 * @property {{x: number, y: number}} end Where the branch ends.
 * @property {boolean} leaf Whether no question follows.
 * @property {boolean} onPath
 *
 * @typedef {object} Layout
 * @property {Direction} direction
 * @property {number} width
 * @property {number} height
 * @property {QuestionPlace[]} questions
 * @property {AnswerPlace[]} answers
 */

/**
 * How much room things have, in pixels. `text` is what an answer's label takes across the flow, above its branch where
 * that is thinner than `thin`; `run` is the part of the way to the next layer that a branch goes straight.
 */
const ROOM = {
  right: { text: 14, thin: 15, head: 50, gap: 12, bar: 4, run: 0.6, scale: 230, pad: 4 },
  down: { text: 0, thin: 0, head: 0, gap: 12, bar: 4, run: 0.42, scale: 440, pad: 2, interval: 112, above: 22 },
};

/** How much more it counts that a branch goes straight from lane to lane than from or to a question. */
const STRAIGHT = 8;

/** @typedef {{kind: "question"|"lane"|"leaf", key: string, layer: number, size: number, head: number, at: number}} Item */

/**
 * @param {Tree} tree
 * @param {Record<string, number>} scores
 * @param {Iterable<string>} path The answers of the likeliest path.
 * @param {{width: number, direction: Direction}} space
 * @returns {Layout}
 */
export function layOut(tree, scores, path, { width, direction }) {
  const onPath = new Set(path);
  const room = ROOM[direction];
  let scale = room.scale;
  let plan = planned(tree, scores, scale, room);
  while (direction === "down" && plan.extent > width && scale > 40) {
    scale *= 0.97;
    plan = planned(tree, scores, scale, room);
  }
  const across = direction === "down" ? width : plan.extent;
  settle(plan, across, room.gap);
  // The last layer holds nothing but ends, which lie before it.
  const interval = direction === "down" ? ROOM.down.interval : width / (plan.layers.length - 1);
  const start = direction === "down" ? ROOM.down.above : 0;
  const along = (/** @type {number} */ layer) => start + layer * interval;
  const turned = (/** @type {number} */ a, /** @type {number} */ c) => (direction === "down" ? { x: c, y: a } : { x: a, y: c });

  const questions = tree.questions.map((question) => {
    const item = plan.item(question.id);
    const after = plan.layers[item.layer].find((other) => other.at > item.at && other.kind === "question");
    return {
      id: question.id,
      ...turned(along(item.layer), item.at + item.head),
      length: item.size - item.head,
      room: direction === "down" ? (after ? after.at : across) - item.at : interval,
      onPath: question.answers.some((answer) => onPath.has(answer.id)),
    };
  });

  const answers = plan.branches.map((branch) => {
    const points = [[along(branch.from.layer) + room.bar, branch.leaves]];
    for (const lane of branch.lanes) points.push([along(lane.item.layer), lane.item.at + lane.offset]);
    points.push(
      branch.to.kind === "leaf"
        ? [along(branch.from.layer) + interval * (direction === "down" ? 0.5 : 0.96), branch.leaves]
        : [along(branch.to.layer), branch.arrives],
    );
    const [endAlong, endAcross] = points[points.length - 1];
    return {
      id: branch.answer,
      question: branch.from.key,
      score: scores[branch.answer] ?? 0,
      width: branch.width,
      d: outline(points, interval * room.run, Math.max(0.75, branch.width) / 2, turned),
      middle: line(points, interval * room.run, turned),
      label: { ...turned(along(branch.from.layer) + room.bar + 5, branch.leaves), room: direction === "down" ? branch.slot : interval - 18 },
      thin: branch.thin,
      end: turned(endAlong, endAcross),
      leaf: branch.to.kind === "leaf",
      onPath: onPath.has(branch.answer),
    };
  });
  const length = start + interval * (plan.layers.length - 1) - interval * 0.4;
  const size = direction === "down" ? { width, height: length } : { width, height: plan.extent };
  return { direction, ...size, questions, answers };
}

/**
 * Put the tree's parts into layers, in an order in which its branches don't cross: that in which its answers lead there.
 * @param {Tree} tree
 * @param {Record<string, number>} scores
 * @param {number} scale
 * @param {{text: number, thin: number, head: number, gap: number, pad: number}} room
 */
function planned(tree, scores, scale, room) {
  const questions = new Map(tree.questions.map((question) => [question.id, question]));
  const layerOf = layersOf(tree);
  /** @type {Map<string, Item>} */
  const items = new Map();
  /** @type {Item[][]} */
  const layers = [];
  const branches = [];
  const width = (/** @type {string} */ answer) => (scores[answer] ?? 0) * scale;
  const size = (/** @type {string} */ answer) => Math.max(1, width(answer));
  const add = (/** @type {Item} */ item) => {
    items.set(item.key, item);
    (layers[item.layer] ??= []).push(item);
    return item;
  };

  const visit = (/** @type {string} */ id) => {
    const question = questions.get(id);
    const layer = layerOf.get(id) ?? 0;
    const slots = question.answers.map(({ id: answer }) => size(answer) + (size(answer) < room.thin ? room.text : 0) + room.pad);
    const from = add({ kind: "question", key: id, layer, size: room.head + sum(slots), head: room.head, at: 0 });
    let offset = room.head;
    for (const [place, answer] of question.answers.entries()) {
      const lanes = [];
      let to;
      if (questions.has(answer.next)) {
        const last = layerOf.get(answer.next) ?? 0;
        for (let between = layer + 1; between < last; between += 1) {
          const key = `${id}>${answer.next}@${between}`;
          const item = items.get(key) ?? add({ kind: "lane", key, layer: between, size: 0, head: 0, at: 0 });
          lanes.push({ item, offset: item.size + size(answer.id) / 2 });
          item.size += size(answer.id);
        }
        if (!items.has(answer.next)) visit(answer.next);
        to = items.get(answer.next);
      } else {
        to = add({ kind: "leaf", key: answer.id, layer: layer + 1, size: slots[place], head: 0, at: 0 });
      }
      const slot = slots[place];
      const thin = size(answer.id) < room.thin;
      const sizes = { slot, width: width(answer.id), size: size(answer.id), thin };
      branches.push({ answer: answer.id, from, to, lanes, ...sizes, offset: offset + (thin ? slot - (size(answer.id) + room.pad) / 2 : slot / 2), leaves: 0, arrives: 0 });
      offset += slot;
    }
  };
  const led = new Set(tree.questions.flatMap((question) => question.answers.map((answer) => answer.next)));
  for (const question of tree.questions) if (!led.has(question.id)) visit(question.id);
  const total = (/** @type {Item[]} */ layer) => sum(layer.map((item) => item.size)) + room.gap * (layer.length - 1);
  const extent = Math.max(...layers.map(total));
  return { items, layers, branches, extent, item: (/** @type {string} */ key) => items.get(key) };
}

/** Return each question's layer: one after the last of those that lead to it. */
function layersOf(/** @type {Tree} */ tree) {
  /** @type {Map<string, number>} */
  const layers = new Map(tree.questions.map((question) => [question.id, 0]));
  // A tree has no circles, so that it settles in as many rounds as there are questions.
  for (const _ of tree.questions) {
    for (const question of tree.questions) {
      for (const answer of question.answers) {
        const least = (layers.get(question.id) ?? 0) + 1;
        if (layers.has(answer.next)) layers.set(answer.next, Math.max(layers.get(answer.next) ?? 0, least));
      }
    }
  }
  return layers;
}

/** Move everything to where its branches are as straight as the others leave room for. */
function settle(plan, across, gap) {
  for (const layer of plan.layers) {
    spread(layer, new Map(), across, gap);
  }
  for (let round = 0; round < 12; round += 1) {
    ports(plan);
    const layers = round % 2 ? plan.layers.toReversed() : plan.layers;
    for (const layer of layers) {
      const wishes = new Map();
      const wish = (/** @type {Item} */ item, /** @type {number} */ shift, /** @type {number} */ weight) => {
        const [sumOf, weights] = wishes.get(item) ?? [0, 0];
        wishes.set(item, [sumOf + shift * weight, weights + weight]);
      };
      for (const branch of plan.branches) {
        const stops = stopsOf(branch);
        for (let index = 1; index < stops.length; index += 1) {
          const [from, to] = [stops[index - 1], stops[index]];
          const shift = from.across - to.across;
          const straight = from.item.kind === "lane" && to.item.kind === "lane" ? STRAIGHT : 1;
          const weight = (branch.size + 0.5) * straight;
          if (layer.includes(to.item)) wish(to.item, shift, weight);
          // Looking ahead counts for less, so that flows line up with where they come from.
          if (layer.includes(from.item)) wish(from.item, -shift, straight > 1 ? weight : weight / 3);
        }
      }
      spread(layer, wishes, across, gap);
      ports(plan);
    }
  }
}

/** A branch's way: at which item it is where, across the flow. */
function stopsOf(branch) {
  const lanes = branch.lanes.map((lane) => ({ item: lane.item, across: lane.item.at + lane.offset }));
  return [
    { item: branch.from, across: branch.leaves },
    ...lanes,
    { item: branch.to, across: branch.to.kind === "leaf" ? branch.to.at + branch.slot / 2 : branch.arrives },
  ];
}

/** Work out where branches leave and arrive from where their questions lie. */
function ports(plan) {
  const arriving = new Map();
  for (const branch of plan.branches) {
    branch.leaves = branch.from.at + branch.offset;
    if (branch.to.kind === "question") arriving.set(branch.to, [...(arriving.get(branch.to) ?? []), branch]);
  }
  for (const [item, branches] of arriving) {
    const before = (branch) => (branch.lanes.length ? branch.lanes.at(-1).item.at + branch.lanes.at(-1).offset : branch.leaves);
    branches.sort((one, other) => before(one) - before(other));
    let at = item.at + item.head + (item.size - item.head - sum(branches.map((branch) => branch.size))) / 2;
    for (const branch of branches) {
      branch.arrives = at + branch.size / 2;
      at += branch.size;
    }
  }
}

/** Move a layer's items as they wish, in their order, without overlaps and within the bounds. */
function spread(layer, wishes, across, gap) {
  let least = 0;
  for (const item of layer) {
    const [shift, weight] = wishes.get(item) ?? [0, 0];
    item.at = Math.max(least, item.at + (weight ? shift / weight : 0));
    least = item.at + item.size + gap;
  }
  let most = across;
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
  const beside = (/** @type {number} */ shift) => points.map(([a, c]) => [a, c + shift]);
  const back = beside(half);
  const parts = legs(back, run).map(({ straight, bends }, index) => `C${[...bends.toReversed(), straight].map(at).join(" ")}L${at(back[index])}`);
  return `${line(beside(-half), run, turned)}L${at(back[back.length - 1])}${parts.toReversed().join("")}Z`;
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
  return ([a, c]) => {
    const { x, y } = turned(a, c);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  };
}

function sum(/** @type {number[]} */ numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
