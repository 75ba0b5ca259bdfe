/**
 * What the page's address says, and what it is to say.
 *
 * @typedef {{kind: "file", blob: Blob, name: string}
 *         | {kind: "url", url: string}
 *         | {kind: "position", ra: number, dec: number, survey: string, radius: number|null}
 *         | {kind: "example", example: string}} Source
 */

/**
 * Read what an address asks for; null if nothing, or nothing that makes sense.
 * @param {string} search The part from the question mark on.
 * @returns {{source: Source|null, views: number|null}}
 */
export function readAddress(search) {
  const query = new URLSearchParams(search);
  const views = Number(query.get("views")) || null;
  const url = query.get("url");
  const example = query.get("example");
  if (url) return { source: { kind: "url", url }, views };
  if (example && /^[a-z-]+$/.test(example)) return { source: { kind: "example", example }, views };
  if (query.has("ra") && query.has("dec")) {
    const [ra, dec] = [Number(query.get("ra")), Number(query.get("dec"))];
    const radius = Number(query.get("radius")) || null;
    if (Number.isFinite(ra) && Number.isFinite(dec)) {
      return { source: { kind: "position", ra, dec, survey: query.get("survey") || "sdss", radius }, views };
    }
  }
  return { source: null, views };
}

/**
 * Write what is looked at as an address; a file can't be, and gets the bare one.
 * @param {Source} source
 * @param {number|null} views Where the user chose how many.
 */
export function addressOf(source, views) {
  const query = new URLSearchParams();
  if (source.kind === "url") query.set("url", source.url);
  if (source.kind === "example") query.set("example", source.example);
  if (source.kind === "position") {
    query.set("ra", String(source.ra));
    query.set("dec", String(source.dec));
    query.set("survey", source.survey);
    if (source.radius) query.set("radius", String(source.radius));
  }
  if (views && source.kind !== "file") query.set("views", String(views));
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

/**
 * What a source is called.
 * @param {Source} source
 */
export function nameOf(source) {
  if (source.kind === "file") return source.name;
  if (source.kind === "example") return `a made-up galaxy (${source.example})`;
  if (source.kind === "position") return `RA ${source.ra.toFixed(4)}°, Dec ${source.dec.toFixed(4)}°`;
  return source.url;
}

/**
 * Copy text; false if the browser doesn't let us.
 * @param {string} text
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure address, as of a machine in the same network, there is only the old way.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}
