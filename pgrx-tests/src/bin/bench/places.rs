//! Rights that differ by place, and requesters: an agent of many scoped groups against the hand-written condition, and
//! customers that are agents, where there are few of them and where there are many.

use deskguard_tests::server::{APP, Database};
use postgres::Client;

use crate::desk::{self, Agent, DEPARTMENTS};
use crate::measure::{Connection, Effort, Runner, Times, race};
use crate::report::Report;
use crate::variants::{DESK, Variant};

/// One scoped group for each department.
const FIRST_GROUP: i64 = 1000;
const CUSTOMERS: i64 = 2000;
/// What the agent may do in its departments: the third of these in every third one, and so on. Each has the ones before.
const LEVELS: [&[&str]; 3] = [
    &["ticket.use", "ticket.view.own"],
    &["ticket.view.unassigned", "ticket.view.assigned"],
    &[
        "ticket.modify.own",
        "ticket.modify.unassigned",
        "ticket.modify.assigned",
    ],
];
/// As many customers as agents have numbers beyond those that are compared.
const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
const FIRST_CUSTOMER: i64 = 1_000_000;

fn level(department: i32) -> usize {
    (department % 3) as usize
}

/// With what a group of the department above gives.
fn departments_of(least: usize) -> String {
    let has = |department: &i32| level(*department).max(level(desk::above(*department))) >= least;
    let all: Vec<String> = (1..=DEPARTMENTS)
        .filter(has)
        .map(|department| department.to_string())
        .collect();
    format!("department_id = ANY ('{{{}}}')", all.join(","))
}

/// The table, which the limit reads, too, and the groups.
pub fn load(agent: &Agent) -> String {
    let mut sql = format!(
        "CREATE SCHEMA places; GRANT USAGE ON SCHEMA places TO PUBLIC; {};
         ALTER TABLE places.ticket ADD COLUMN requester_id bigint;
         UPDATE places.ticket SET requester_id = {FIRST_CUSTOMER} + id % {FEW};
         CREATE INDEX ON places.ticket (requester_id);
         SELECT deskguard.protect_tickets('places.ticket', department_column => 'department_id',
             assignee_column => 'assignee_id', requester_column => 'requester_id');
         DELETE FROM deskguard.group_member WHERE agent_id = {agent};
         DELETE FROM deskguard.agent_department WHERE agent_id = {agent};
         INSERT INTO deskguard.permission_group (id, name, scope)
         SELECT {FIRST_GROUP} + n, 'In ' || n, 'granted' FROM generate_series(1, {DEPARTMENTS}) AS n;
         INSERT INTO deskguard.group_department (group_id, department_id, level)
         SELECT {FIRST_GROUP} + n, n, 'full' FROM generate_series(1, {DEPARTMENTS}) AS n;
         INSERT INTO deskguard.group_member (group_id, agent_id)
         SELECT {FIRST_GROUP} + n, {agent} FROM generate_series(1, {DEPARTMENTS}) AS n;
         INSERT INTO deskguard.permission_group (id, name) VALUES ({CUSTOMERS}, 'Customers');
         INSERT INTO deskguard.group_permission (group_id, permission)
         VALUES ({CUSTOMERS}, 'ticket.use'), ({CUSTOMERS}, 'ticket.view.requested');\n",
        desk::copy("plain", "places.ticket", "true"),
        agent = agent.id,
    );
    for (nth, permissions) in LEVELS.iter().enumerate() {
        for permission in *permissions {
            sql += &format!(
                "INSERT INTO deskguard.group_permission (group_id, permission)
                 SELECT {FIRST_GROUP} + n, '{permission}' FROM generate_series(1, {DEPARTMENTS}) AS n WHERE n % 3 >= {nth};\n"
            );
        }
    }
    sql + &customers(FEW)
}

fn customers(count: i64) -> String {
    format!(
        "INSERT INTO deskguard.agent (id, name)
         SELECT n, 'Customer ' || n FROM generate_series({FIRST_CUSTOMER}, {FIRST_CUSTOMER} + {count} - 1) AS n
         ON CONFLICT DO NOTHING;
         INSERT INTO deskguard.group_member (group_id, agent_id)
         SELECT {CUSTOMERS}, n FROM generate_series({FIRST_CUSTOMER}, {FIRST_CUSTOMER} + {count} - 1) AS n
         ON CONFLICT DO NOTHING"
    )
}

/// The agent of the groups, against the condition that an expert writes for it.
pub fn compare(database: &Database, agent: &Agent, effort: Effort, report: &mut Report) {
    report.title("An agent in 40 scoped groups");
    report.table_head();
    let own = format!("assignee_id = {}", agent.id);
    let view = format!("({own} AND {} OR {})", departments_of(0), departments_of(1));
    let modify = departments_of(2);
    // The condition, and the statement with AND and a condition, or nothing.
    type Statement = (&'static str, String, fn(&str) -> String);
    let statements: [Statement; 5] = [
        ("queue", view.clone(), |and| {
            format!(
                "SELECT id, subject, updated_at FROM places.ticket WHERE status = 'open' {and} ORDER BY updated_at DESC LIMIT 50"
            )
        }),
        ("report", view.clone(), |and| {
            format!("SELECT status, count(*) FROM places.ticket WHERE true {and} GROUP BY status")
        }),
        ("week", view.clone(), |and| {
            format!(
                "SELECT count(*) FROM places.ticket WHERE {} {and}",
                desk::WEEK
            )
        }),
        ("point", view.clone(), |and| {
            format!("SELECT id, subject, status FROM places.ticket WHERE id = 4711 {and}")
        }),
        ("bulk update", format!("{view} AND {modify}"), |and| {
            format!("UPDATE places.ticket SET status = 'closed' WHERE status = 'nothing' {and}")
        }),
    ];
    for (name, condition, statement) in statements {
        let mut sessions = [Variant::Limit, Variant::Deskguard].map(|variant| {
            let mut client = Connection::new(database.connect(&variant.role(DESK)));
            let sql = match variant {
                Variant::Limit => statement(&format!("AND {condition}")),
                _ => {
                    let act = format!("SET {} = '{}'", variant.setting(), agent.id);
                    client.batch_execute(&act).unwrap();
                    statement("")
                }
            };
            (variant, client, sql)
        });
        let mut rows = vec![];
        for (_, client, sql) in &mut sessions {
            let mut answer: Vec<String> = client
                .simple_query(sql)
                .unwrap()
                .iter()
                .map(|row| format!("{row:?}"))
                .collect();
            answer.sort();
            rows.push(answer);
        }
        assert_eq!(
            rows[0], rows[1],
            "deskguard and the limit disagree on {name}"
        );
        let mut runners: Vec<Runner> = sessions
            .iter_mut()
            .map(|(_, client, sql)| Runner::new(|_| client.time_statement(sql)))
            .collect();
        let times = race(&mut runners, effort);
        drop(runners);
        let times = sessions
            .iter()
            .map(|(variant, ..)| *variant)
            .zip(times)
            .collect();
        report.compared(name, &agent.name, times, |limit, deskguard| {
            deskguard <= 1.10 * limit || deskguard - limit <= 0.06
        });
    }
}

/// What a customer's statements take with few customers, and with very many.
pub fn many_customers(
    database: &Database,
    superuser: &mut Client,
    effort: Effort,
    report: &mut Report,
) {
    report
        .title("Customers that are agents: median ms where they are few, and where they are many");
    let few = customer(database, effort);
    superuser.batch_execute(&customers(MANY)).unwrap();
    superuser.batch_execute("VACUUM (FREEZE, ANALYZE)").unwrap();
    superuser.batch_execute("CHECKPOINT").unwrap();
    let many = customer(database, effort);
    println!("{:<34} {FEW:>10} {MANY:>10} {:>7}", "", "ratio");
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        let ratio = many.median() / few.median();
        println!(
            "{name:<34} {:>10.3} {:>10.3} {ratio:>7.2}",
            few.median(),
            many.median()
        );
        report.note(name, "customer", "few", few, None);
        report.note(name, "customer", "many", many, Some(ratio));
    }
}

fn customer(database: &Database, effort: Effort) -> Vec<(&'static str, Times)> {
    let mut client = Connection::new(database.connect(APP));
    let mut admin = Connection::new(database.superuser());
    let act = |n: i64| format!("SET deskguard.agent_id = '{}'", FIRST_CUSTOMER + n);
    client.batch_execute(&act(0)).unwrap();
    let queue = "SELECT id FROM places.ticket ORDER BY updated_at DESC LIMIT 50";
    let point = format!("SELECT id FROM places.ticket WHERE id = {FEW}");
    let mut all = vec![];
    let mut measure = |name, run: &mut dyn FnMut(usize) -> crate::measure::Took| {
        let times = race(&mut [Runner::new(run)], effort);
        all.push((name, times.into_iter().next().expect("of one runner")));
    };
    measure("its tickets", &mut |_| client.time_statement(queue));
    measure("read by key", &mut |_| client.time_statement(&point));
    measure("another customer, and read by key", &mut |round| {
        let act = act(round as i64 % FEW);
        client.time(|client| {
            client.batch_execute(&act).unwrap();
            client.simple_query(&point).unwrap();
        })
    });
    measure("grant and revoke a permission", &mut |_| {
        admin.time_statement(&format!(
            "INSERT INTO deskguard.agent_permission VALUES ({FIRST_CUSTOMER}, 'ticket.create');
             DELETE FROM deskguard.agent_permission WHERE agent_id = {FIRST_CUSTOMER}"
        ))
    });
    measure("read by key after such a change", &mut |_| {
        let change = format!(
            "INSERT INTO deskguard.agent_permission VALUES ({FIRST_CUSTOMER}, 'ticket.create');
             DELETE FROM deskguard.agent_permission WHERE agent_id = {FIRST_CUSTOMER}"
        );
        admin.batch_execute(&change).unwrap();
        client.time_statement(&point)
    });
    all
}
