"""PgBouncer in each pool mode. One server connection for all clients, so that each gets what the last one left."""
import os

import psycopg

from check import run, test

ASKED = "SELECT count(*) FROM desk.ticket"


def connect(mode):
    # For each mode a database of PgBouncer's. It has no prepared statements in this version.
    return psycopg.connect(
        host=os.environ["BOUNCER_HOST"], port=os.environ["BOUNCER_PORT"], user="helpdesk_app", dbname=mode,
        autocommit=True, prepare_threshold=None)


@test
def for_a_transaction_in_modes_session_and_transaction():
    for mode in ["session", "transaction"]:
        with connect(mode) as ann:
            ann.execute("SELECT desk.reset()")
            with ann.transaction():
                ann.execute("SELECT deskguard.set_agent(7)")
                assert ann.execute(ASKED).fetchone() == (3,), mode
        with connect(mode) as nobody:
            assert nobody.execute(ASKED).fetchone() == (0,), mode


@test
def in_one_round_trip_in_each_mode():
    for mode in ["session", "transaction", "statement"]:
        with connect(mode) as ann:
            cursor = ann.execute(f"SELECT deskguard.set_agent(7); {ASKED}")
            assert cursor.nextset() and cursor.fetchone() == (3,), mode
        with connect(mode) as nobody:
            assert nobody.execute(ASKED).fetchone() == (0,), mode


@test
def an_agent_of_the_session_goes_to_the_next_client():
    # The reason why docs/applications.md says never.
    with connect("transaction") as ann, connect("transaction") as nobody:
        ann.execute("SELECT deskguard.set_agent(7, false)")
        assert nobody.execute(ASKED).fetchone() == (3,)
        nobody.execute("RESET deskguard.agent_id")


run()
