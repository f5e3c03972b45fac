"""psycopg: set_agent in a transaction, in a pipeline, and in one round trip."""
import psycopg

from check import DSN, run, test

ASKED = "SELECT count(*) FROM desk.ticket"


def connect(notices, **options):
    connection = psycopg.connect(DSN, autocommit=True, **options)
    connection.add_notice_handler(lambda notice: notices.append((notice.sqlstate, notice.message_primary)))
    connection.execute("SELECT desk.reset()")
    return connection


@test
def for_a_transaction():
    notices = []
    with connect(notices) as connection:
        with connection.transaction():
            connection.execute("SELECT deskguard.set_agent(%s)", [7])
            assert connection.execute(ASKED).fetchone() == (3,)
        assert connection.execute(ASKED).fetchone() == (0,)
    assert notices == []


@test
def outside_of_a_transaction_there_is_a_warning():
    notices = []
    with connect(notices) as connection:
        connection.execute("SELECT deskguard.set_agent(%s)", [7])
        assert connection.execute(ASKED).fetchone() == (0,)
    assert [code for code, _ in notices] == ["25P01"], notices


@test
def in_one_round_trip():
    notices = []
    with connect(notices) as connection:
        cursor = connection.execute(f"SELECT deskguard.set_agent(7); {ASKED}")
        assert cursor.nextset() and cursor.fetchone() == (3,)
        assert connection.execute(ASKED).fetchone() == (0,)
    assert notices == []


@test
def in_a_pipeline():
    notices = []
    with connect(notices) as connection:
        with connection.pipeline():
            connection.execute("SELECT deskguard.set_agent(%s)", [7])
            asked = connection.execute(ASKED)
        assert asked.fetchone() == (3,)
        assert connection.execute(ASKED).fetchone() == (0,)
    assert notices == [], notices


@test
def the_server_reports_the_agent():
    def reported(connection):
        return connection.pgconn.parameter_status(b"deskguard.agent_id")

    with connect([]) as connection:
        assert reported(connection) == b""
        with connection.transaction():
            connection.execute("SELECT deskguard.set_agent(7)")
            assert reported(connection) == b"7"
        assert reported(connection) == b""
        connection.execute("SELECT deskguard.set_agent(7, false)")
        assert reported(connection) == b"7"


run()
