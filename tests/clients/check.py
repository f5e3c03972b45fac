"""What the tests in Python have in common."""
import os
import traceback

DSN = "host={PGHOST} port={PGPORT} user=helpdesk_app dbname={PGDATABASE}".format(**os.environ)
URL = "//helpdesk_app@/{PGDATABASE}?host={PGHOST}&port={PGPORT}".format(**os.environ)
REFUSED = "agent 7 may not modify ticket 3 of desk.ticket"

tests = []


def test(function):
    tests.append(function)
    return function


def raises(error, text, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error as problem:
        assert text in str(problem), problem
    else:
        raise AssertionError(f"no {error.__name__}")


def run():
    failed = 0
    for function in tests:
        try:
            function()
            print("ok", function.__name__)
        except Exception:
            failed += 1
            print("FAILED", function.__name__)
            traceback.print_exc()
    raise SystemExit(failed)
