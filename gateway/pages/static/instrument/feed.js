/* A document of the API that is kept current: asked again while the page is looked at, with the tag of what is known. */

const EVERY_MS = 20_000;
const AGAIN_MS = 1_000; // after a failure; doubled with each further one, up to EVERY_MS
const LONGEST_MS = 15_000;

/** An answer that is not the document: `status` 0 where nobody answered, `detail` a sentence for people. */
export class Trouble extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code, detail });
  }
}

/** Fetch a JSON document once: `{document, tag}`, or null where the tag still holds. Throws `Trouble`. */
export async function ask(address, tag = null, signal = undefined) {
  const patience = AbortSignal.timeout(LONGEST_MS);
  let response;
  try {
    response = await fetch(address, {
      headers: tag ? { "if-none-match": tag } : {},
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    if (response.status === 304) return null;
    if (response.ok) return { document: await response.json(), tag: response.headers.get("etag") };
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Trouble(0, "unreachable", "The server does not answer.");
  }
  const problem = await response.json().catch(() => ({}));
  throw new Trouble(response.status, problem.code ?? "unknown", problem.detail ?? `The server answered ${response.status}.`);
}

/** The same, asked up to three times: what is not in the server's cache yet is there a moment later. */
export async function askAgain(address) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask(address);
    } catch (error) {
      if (tries === 3 || !(error.status === 0 || error.status >= 500)) throw error;
      await new Promise((done) => setTimeout(done, AGAIN_MS * tries));
    }
  }
}

export class Feed {
  /** `onDocument(document)` hears each new version, `onConfirmed()` that the known one is still it, `onTrouble(trouble)`. */
  constructor({ onDocument, onConfirmed, onTrouble }) {
    Object.assign(this, { onDocument, onConfirmed, onTrouble, address: null, failures: 0 });
    document.addEventListener("visibilitychange", () => !document.hidden && this.address && this.again());
  }

  /** Follow another address; the first answer comes as soon as it can. */
  follow(address) {
    if (address !== this.address) this.tag = null;
    this.address = address;
    this.failures = 0;
    return this.again();
  }

  /** Ask now. */
  async again() {
    clearTimeout(this.timer);
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      const answer = await ask(this.address, this.tag, asking.signal);
      if (asking.signal.aborted) return;
      this.failures = 0;
      if (answer) {
        this.tag = answer.tag;
        this.onDocument(answer.document);
      } else this.onConfirmed();
    } catch (error) {
      if (asking.signal.aborted) return;
      if (!(error instanceof Trouble)) throw error;
      this.failures += 1;
      this.onTrouble(error);
    }
    const wait = this.failures ? Math.min(EVERY_MS, AGAIN_MS * 2 ** (this.failures - 1)) : EVERY_MS;
    this.timer = setTimeout(() => !document.hidden && this.again(), wait);
  }
}
