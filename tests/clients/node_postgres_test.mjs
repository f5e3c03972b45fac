// node-postgres, by itself and below Knex and Sequelize.
import assert from "node:assert/strict";
import knexFactory from "knex";
import pg from "pg";
import { DataTypes, Sequelize } from "sequelize";

import { REFUSED, config, run } from "./check.mjs";

// As in docs/applications.md.
const pool = new pg.Pool({ ...config, max: 1 });

async function asAgent(agent, work) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT deskguard.set_agent($1)", [agent]);
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (problem) {
    await client.query("ROLLBACK");
    throw problem;
  } finally {
    client.release();
  }
}

const knex = knexFactory({ client: "pg", connection: config, pool: { min: 0, max: 1 } });

const knexAs = (agent, work) =>
  knex.transaction(async (trx) => {
    await trx.raw("SELECT deskguard.set_agent(?)", [agent]);
    return work(trx);
  });

const sequelize = new Sequelize({
  ...config,
  username: config.user,
  dialect: "postgres",
  logging: false,
  pool: { max: 1 },
});
const Ticket = sequelize.define(
  "ticket",
  {
    id: { type: DataTypes.BIGINT, primaryKey: true },
    subject: DataTypes.TEXT,
    department_id: DataTypes.BIGINT,
    assignee_id: DataTypes.BIGINT,
  },
  { schema: "desk", tableName: "ticket", timestamps: false },
);

const sequelizeAs = (agent, work) =>
  sequelize.transaction(async (transaction) => {
    await sequelize.query("SELECT deskguard.set_agent($agent)", { bind: { agent }, transaction });
    return work(transaction);
  });

const refuse = "SET LOCAL deskguard.refused_changes = error";
const reset = () => pool.query("SELECT desk.reset()");
const expected = ["unassigned", "of Ann", "of Bob"];

const tests = {
  async a_transaction_acts_for_its_agent_only() {
    await reset();
    const ask = "SELECT subject FROM desk.ticket ORDER BY id";
    const rows = await asAgent(7, async (client) => (await client.query(ask)).rows);
    assert.deepEqual(rows.map((row) => row.subject), expected);
    assert.deepEqual((await pool.query(ask)).rows, []);
  },

  async node_postgres_counts_the_rows_of_a_refused_change() {
    await reset();
    const update = (id) => (client) =>
      client.query("UPDATE desk.ticket SET subject = 'changed' WHERE id = $1", [id]);
    assert.equal((await asAgent(7, update(1))).rowCount, 1);
    assert.equal((await asAgent(7, update(3))).rowCount, 0);
    const refused = asAgent(7, async (client) => {
      await client.query(refuse);
      return update(3)(client);
    });
    await assert.rejects(refused, (problem) => problem.code === "42501" && REFUSED.test(problem.message));
  },

  async knex_counts_the_rows_of_a_refused_change() {
    await reset();
    const change = (id) => (trx) => trx.withSchema("desk").from("ticket").where({ id }).update({ subject: "changed" });
    assert.deepEqual(await knexAs(7, (trx) => trx.withSchema("desk").from("ticket").orderBy("id").pluck("subject")), expected);
    assert.equal(await knexAs(7, change(1)), 1);
    assert.equal(await knexAs(7, change(3)), 0);
    const refused = knexAs(7, async (trx) => {
      await trx.raw(refuse);
      return change(3)(trx);
    });
    await assert.rejects(refused, REFUSED);
  },

  async sequelize_takes_a_refused_change_for_success() {
    await reset();
    const save = (id) => async (transaction) => {
      const ticket = await Ticket.findByPk(id, { transaction });
      ticket.subject = "changed";
      await ticket.save({ transaction });
      return ticket.subject;
    };
    const destroy = (id) => async (transaction) =>
      (await Ticket.findByPk(id, { transaction })).destroy({ transaction });
    const all = await sequelizeAs(7, (transaction) => Ticket.findAll({ order: ["id"], transaction }));
    assert.deepEqual(all.map((ticket) => ticket.subject), expected);
    // It tells the program that the ticket has the new subject, which it has not.
    assert.equal(await sequelizeAs(7, save(3)), "changed");
    await sequelizeAs(7, destroy(3));
    const after = await sequelizeAs(7, (transaction) => Ticket.findByPk(3, { transaction }));
    assert.equal(after.subject, "of Bob");
    for (const [change, message] of [[save(3), REFUSED], [destroy(3), /may not delete ticket 3/]]) {
      const refused = sequelizeAs(7, async (transaction) => {
        await sequelize.query(refuse, { transaction });
        return change(transaction);
      });
      await assert.rejects(refused, message);
    }
  },
};

await run(tests, async () => {
  await pool.end();
  await knex.destroy();
  await sequelize.close();
});
