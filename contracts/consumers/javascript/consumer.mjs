// A consumer of the office's events to start from: each event once, nothing lost, and provably so.
//
//   node consumer.mjs agency.json --state events.log [--snapshot events.jsonl] [--once]
//   node consumer.mjs --state events.log --manifest | --check manifest.json
//   node consumer.mjs --test
//
// `agency.json` is what `dinkop agency add --json` printed. Put your own work into `handle`; it may be called again for an
// event that was being taken when the power went, so let it depend on `ce-id` (a database would do both in one
// transaction, as the consumer in Python does). Exit codes: 0 fine; 1 events are missing, or differ; 2 wrong usage.

import { createHash } from "node:crypto";
import { closeSync, createReadStream, existsSync, fdatasyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const EVERYTHING = "dinkop.v1.>";
const BATCH = 500;

/** Do your own work with an event. Do not fail on a type or field you do not know: later versions bring them. */
function handle(type, subject, content) {}

/** An event that is due doesn't come, though later ones do. */
class Gap extends Error {}
/** What was taken can't be kept, or an event can't be read: trying again won't help. */
class Stop extends Error {}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");

/** What was taken, a line an event in a file that only grows: the memory that survives restarts. */
export class Store {
  #file;
  #everything;
  #taken = new Map(); // service -> Map of sequence -> { kecamatan, fingerprint }
  #ids = new Map(); // id -> "service sequence"
  #last = new Map(); // service -> highest sequence

  constructor(path, everything = true) {
    this.#everything = everything;
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1); // a line that was being written is none
    this.#file = openSync(path, "a");
    ftruncateSync(this.#file, Buffer.byteLength(whole));
    for (const line of whole.split("\n").slice(0, -1)) {
      const [service, sequence, id, kecamatan, fingerprint] = line.split(" ");
      this.#remember(service, Number(sequence), id, kecamatan, fingerprint);
    }
  }

  /** Take events; return of each whether it is done with, on disk, now or before. Who gets everything takes each
   *  service's events in order. One that isn't done with is early: it must not be acknowledged, and given again when
   *  the one before has come. */
  take(events) {
    const lines = [];
    const done = [];
    for (const { headers, data } of events) {
      const [service, type] = headers["ce-type"].split(".").slice(-3, -1);
      const sequence = Number(headers["ce-sequence"]);
      const [id, subject] = [headers["ce-id"], headers["ce-subject"]];
      if (!this.#ids.has(id)) {
        if (this.#everything && sequence > (this.#last.get(service) ?? 0) + 1) {
          done.push(false);
          continue;
        }
        const content = JSON.parse(data.toString());
        const kecamatan = (content.kecamatan_code ?? "000000").replaceAll(".", "");
        const fingerprint = sha256(`${sequence} ${id} ${type} ${subject} `, data);
        if (this.#taken.get(service)?.has(sequence)) {
          throw new Error(`Another event has the number of one that was taken (${service} ${sequence}): tell the office.`);
        }
        handle(type, subject, content);
        lines.push(`${service} ${sequence} ${id} ${kecamatan} ${fingerprint}\n`);
        this.#remember(service, sequence, id, kecamatan, fingerprint);
      }
      done.push(true);
    }
    if (lines.length) {
      writeSync(this.#file, lines.join(""));
      fdatasyncSync(this.#file); // on disk before it is acknowledged
    }
    return done;
  }

  #remember(service, sequence, id, kecamatan, fingerprint) {
    if (!this.#taken.has(service)) this.#taken.set(service, new Map());
    this.#taken.get(service).set(sequence, { kecamatan, fingerprint });
    this.#ids.set(id, `${service} ${sequence}`);
    this.#last.set(service, Math.max(sequence, this.#last.get(service) ?? 0));
  }

  /** Say what is due of a service. */
  due(service) {
    return `${service}:${(this.#last.get(service) ?? 0) + 1} has not come`;
  }

  /** Return range, count and digest of a service in a kecamatan (or `all`), up to a number. */
  part(service, kecamatan, until = Infinity) {
    const rows = [...(this.#taken.get(service) ?? [])]
      .filter(([sequence, row]) => sequence <= until && (kecamatan === "all" || kecamatan === row.kecamatan))
      .sort(([one], [other]) => one - other);
    const [first, last] = [rows[0]?.[0] ?? 0, rows.at(-1)?.[0] ?? 0];
    const digest = sha256("", ...rows.map(([, row]) => row.fingerprint + "\n"));
    return { service, kecamatan, first, last, count: rows.length, digest };
  }

  /** Return what was taken, in the form of `dinkop events manifest --json`. */
  manifest() {
    const services = [...this.#taken.keys()].sort();
    const items = services.flatMap((service) =>
      [...new Set([...this.#taken.get(service).values()].map((row) => row.kecamatan))]
        .sort()
        .map((kecamatan) => this.part(service, kecamatan)),
    );
    const lines = items.map((each) => Object.values(each).join(" ") + "\n"); // in the order that `part` writes them
    const events = items.reduce((sum, each) => sum + each.count, 0);
    const whole = this.#everything ? services.map((service) => this.part(service, "all")) : [];
    return { events, digest: sha256(lines.join("")), items: [...items, ...whole] };
  }

  /** Say how what was taken differs from the office's manifest, up to where that goes. */
  differences(manifest) {
    return manifest.items.flatMap((due) => {
      const mine = this.part(due.service, due.kecamatan, due.last);
      if (mine.count === due.count && mine.first === due.first && mine.digest === due.digest) return [];
      const here = `here are ${mine.count} up to ${mine.last} with ${mine.digest}`;
      return [`${due.service} ${due.kecamatan}: due are ${due.count} events up to ${due.last} with digest ${due.digest}; ${here}`];
    });
  }

  close() {
    closeSync(this.#file);
  }
}

const lines = (input) => createInterface({ input, crlfDelay: Infinity });

/** Take all events of a snapshot. The data is the last member of a line, byte for byte as it was published. */
async function load(store, path) {
  let stamp;
  let waiting = [];
  const take = () => {
    if (store.take(waiting).includes(false)) throw new Error(`${path} is damaged: an event is missing in it.`);
    waiting = [];
  };
  for await (const line of lines(createReadStream(path))) {
    const { data: _, ...attributes } = JSON.parse(line);
    if (!stamp) {
      stamp = attributes;
      continue;
    }
    const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]));
    const mark = ',"data":';
    waiting.push({ headers, data: Buffer.from(line.slice(line.indexOf(mark) + mark.length, line.lastIndexOf("}"))) });
    if (waiting.length >= 2 * BATCH) take();
  }
  take();
  const held = store.manifest();
  if (held.events < stamp.events || (held.events === stamp.events && held.digest !== stamp.digest)) {
    throw new Error(`${path} is damaged: it isn't what its first line says. Ask for a new one.`);
  }
  console.log(`${stamp.events} events in ${path}.`);
}

const headersOf = (message) => Object.fromEntries(message.headers.keys().map((name) => [name, message.headers.get(name)]));

/** One connection. When anything goes wrong it is given up, and another begun: there is no half way. */
async function session(agency, store, once) {
  const { connect } = await import("@nats-io/transport-node");
  const { url, user, password, inbox_prefix: inboxPrefix } = agency;
  const signIn = { servers: url.split(","), user, pass: password, inboxPrefix };
  // A server that says nothing for 15 seconds is gone, though nobody closed the connection.
  const connection = await connect({ ...signIn, reconnect: false, pingInterval: 5_000, maxPingOut: 2 });
  // The client's iterators and answers may wait for ever when their connection ends under them.
  const lost = connection.closed().then((problem) => {
    throw problem ?? new Error("it was closed");
  });
  try {
    await Promise.race([taking(connection, agency, store, once), lost]);
  } finally {
    lost.catch(() => {});
    await connection.close();
  }
}

/** Take what comes over a connection: with `once` until nothing is left. */
async function taking(connection, { stream, durable }, store, once) {
  const { jetstream } = await import("@nats-io/jetstream");
  const consumer = await jetstream(connection).consumers.get(stream, durable);
  // What came before its turn, because the one due was on its way when something broke: that will come again.
  const early = new Map();
  let [due, since] = ["", 0];
  for (;;) {
    let came = 0;
    for await (const message of await consumer.fetch({ max_messages: BATCH, expires: 1000 })) {
      const headers = headersOf(message);
      const service = headers["ce-type"].split(".").at(-3);
      const sequence = Number(headers["ce-sequence"]);
      early.set(`${service} ${sequence}`, { message, service, sequence, headers, data: Buffer.from(message.data) });
      came += 1;
    }
    const waiting = [...early].sort(([, one], [, other]) => one.sequence - other.sequence);
    let done;
    try {
      done = store.take(waiting.map(([, event]) => event));
    } catch (problem) {
      throw new Stop(problem.message);
    }
    waiting.forEach(([place, { message }], at) => {
      if (!done[at]) return;
      message.ack(); // after it is on disk, never before
      early.delete(place);
    });
    if (came && !early.size) continue;
    await connection.flush();
    const info = await consumer.info(); // it may be gone, with the stream
    if (once && !info.num_pending && !info.num_ack_pending) return;
    const now = early.size ? store.due(early.values().next().value.service) : "";
    if (now !== due) [due, since] = [now, Date.now()];
    else if (due && Date.now() - since > (3 * info.config.ack_wait) / 1e6) throw new Gap(due);
  }
}

/** Take the events of an agency, whatever happens to the connection. Throws Gap when events are missing. */
async function consume(agency, store, once) {
  for (;;) {
    try {
      return await session(agency, store, once);
    } catch (problem) {
      if (problem instanceof Gap || problem instanceof Stop) throw problem;
      console.error(`The connection is lost (${problem.message}). Trying again.`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Answer `dinkop consumer-test`: a JSON line for each one that comes. */
async function answerTests(store) {
  for await (const line of lines(process.stdin)) {
    const asked = JSON.parse(line);
    let answer;
    if (asked.do === "manifest") answer = store.manifest();
    else {
      const event = { headers: asked.headers, data: Buffer.from(asked.data) };
      answer = { ack: store.take([event])[0] };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}

const text = { type: "string" };
const flag = { type: "boolean", default: false };
const options = { state: { ...text, default: "events.log" }, snapshot: text, once: flag, manifest: flag, check: text, test: flag };

async function main() {
  let given;
  try {
    given = parseArgs({ options, allowPositionals: true });
    if (!given.positionals.length && !(given.values.manifest || given.values.check || given.values.test)) {
      throw new Error("Name the file that `dinkop agency add --json` printed.");
    }
  } catch (problem) {
    console.error(problem.message);
    return 2;
  }
  const { state, snapshot, once, manifest, check, test } = given.values;
  try {
    const [file] = given.positionals;
    const agency = file ? JSON.parse(readFileSync(file, "utf8")) : { filter_subjects: [EVERYTHING] };
    const store = new Store(state, agency.filter_subjects.includes(EVERYTHING));
    if (test) await answerTests(store);
    else if (manifest) console.log(JSON.stringify(store.manifest(), null, 1));
    else if (check) {
      const problems = store.differences(JSON.parse(readFileSync(check, "utf8")));
      console.log(problems.join("\n") || "Complete.");
      return problems.length ? 1 : 0;
    } else {
      if (snapshot) await load(store, snapshot);
      await consume(agency, store, once);
    }
    store.close();
    return 0;
  } catch (problem) {
    if (problem instanceof Gap) {
      console.error(`Events are missing: ${problem.message}. None after it was taken: tell the office.`);
    } else console.error(problem.message);
    return 1;
  }
}

process.exitCode = await main();
