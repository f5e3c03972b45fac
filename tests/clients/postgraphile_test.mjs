// PostGraphile: the agent of a request by pgSettings.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import pg from "pg";
import { postgraphile } from "postgraphile";

import { REFUSED, config, run } from "./check.mjs";

const pool = new pg.Pool({ ...config, max: 2 });
// As in docs/applications.md.
const handler = postgraphile(pool, "desk", {
  pgSettings: async (request) => ({
    "deskguard.agent_id": request.headers["x-agent"] ?? "",
    "deskguard.refused_changes": request.headers["x-refused-changes"] ?? "skip",
  }),
  disableQueryLog: true,
});
const server = createServer(handler);
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${server.address().port}/graphql`;

async function ask(query, headers = {}) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ query }),
  });
  return answer.json();
}

const all = "{ allTickets(orderBy: ID_ASC) { nodes { subject } } }";
const change = (id) =>
  `mutation { updateTicketById(input: {id: "${id}", ticketPatch: {subject: "changed"}}) { ticket { subject } } }`;
const ann = { "x-agent": "7" };

const tests = {
  async a_request_acts_for_its_agent_only() {
    await pool.query("SELECT desk.reset()");
    const seen = (await ask(all, ann)).data.allTickets.nodes.map((node) => node.subject);
    assert.deepEqual(seen, ["unassigned", "of Ann", "of Bob"]);
    assert.deepEqual((await ask(all)).data.allTickets.nodes, []);
  },

  async a_refused_change_is_an_error() {
    await pool.query("SELECT desk.reset()");
    const changed = await ask(change(1), ann);
    assert.equal(changed.data.updateTicketById.ticket.subject, "changed");
    const skipped = await ask(change(3), ann);
    assert.match(skipped.errors[0].message, /No values were updated/);
    const refused = await ask(change(3), { ...ann, "x-refused-changes": "error" });
    assert.match(refused.errors[0].message, REFUSED);
  },
};

await run(tests, async () => {
  server.close();
  await handler.release?.();
  await pool.end();
});
