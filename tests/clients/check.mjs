// What the tests in JavaScript have in common.
export const config = {
  host: process.env.PGHOST,
  port: Number(process.env.PGPORT),
  user: "helpdesk_app",
  database: process.env.PGDATABASE,
};
export const REFUSED = /agent 7 may not modify ticket 3 of desk\.ticket/;

export async function run(tests, end) {
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log("ok", name);
    } catch (problem) {
      failed += 1;
      console.log("FAILED", name);
      console.error(problem);
    }
  }
  await end();
  process.exit(failed);
}
