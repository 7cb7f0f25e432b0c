// What somebody of outside can do at the doors, tried with the official client. Reads a job from stdin, writes JSON.
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const input = [];
for await (const block of process.stdin) input.push(block);
const { credentials, forbidden, unheard, replies } = JSON.parse(Buffer.concat(input));
const { url, user, password, stream, durable, inbox_prefix: inboxPrefix } = credentials;

const nc = await connect({ servers: url, user, pass: password, inboxPrefix, reconnect: false });
const refused = { publish: [], subscription: [] };
const listening = (async () => {
  for await (const status of nc.status()) {
    if (status.type === "error") refused[status.error.operation]?.push(status.error.subject);
  }
})();

// Its own: consumed and acknowledged, with nothing but what it was given.
const seen = [];
if (durable) {
  const consumer = await jetstream(nc).consumers.get(stream, durable);
  const messages = await consumer.fetch({ max_messages: 100, expires: 1000 });
  for await (const message of messages) {
    seen.push({ subject: message.subject, sequence: message.headers.get("ce-sequence") });
    await message.ackAck();
  }
}

// Not its own.
for (const subject of forbidden) nc.publish(subject, "", { reply: `${inboxPrefix}.answer` });
for (const subject of unheard) nc.subscribe(subject, { callback: () => {} });
for (const [subject, payload, reply] of replies) nc.publish(subject, payload, { reply });
await nc.flush();
await new Promise((done) => setTimeout(done, 200));
await nc.flush();
const answer = { seen, refused };
await nc.close();
process.stdout.write(JSON.stringify(answer));
