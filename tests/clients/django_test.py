"""Django: the agent of a request, and what becomes of changes that it may not make."""
import os

import django
from django.conf import settings
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, models, transaction

from check import REFUSED, raises, run, test

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": "helpdesk_app",
            "NAME": os.environ["PGDATABASE"],
        }
    }
)
django.setup()


class Ticket(models.Model):
    id = models.BigIntegerField(primary_key=True)
    subject = models.TextField()
    department_id = models.BigIntegerField(null=True)
    assignee_id = models.BigIntegerField(null=True)

    class Meta:
        app_label = "desk"
        db_table = "ticket"
        managed = False


# As in docs/applications.md.
class AgentMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT deskguard.set_agent(%s)", [request.agent_id])
            return self.get_response(request)


class Request:
    agent_id = 7


def request(view):
    """As Ann."""
    return AgentMiddleware(lambda _: view())(Request())


def refused_changes(value):
    with connection.cursor() as cursor:
        cursor.execute("SELECT desk.reset()")
        cursor.execute(f"SET deskguard.refused_changes = {value}")


def save(id, **options):
    ticket = Ticket.objects.get(id=id)
    ticket.subject = "changed"
    ticket.save(**options)


def subjects():
    return list(Ticket.objects.order_by("id").values_list("subject", flat=True))


@test
def a_request_acts_for_its_agent_only():
    refused_changes("skip")
    assert request(subjects) == ["unassigned", "of Ann", "of Bob"]
    assert subjects() == []


@test
def what_may_be_changed_is_changed():
    refused_changes("error")
    request(lambda: save(1))
    assert request(subjects)[0] == "changed"
    assert request(lambda: Ticket.objects.get(id=2).delete()[0]) == 1


@test
def a_refused_save_that_is_skipped_becomes_an_insert():
    refused_changes("skip")
    # The UPDATE finds no row, so that Django inserts one.
    raises(IntegrityError, "duplicate key", request, lambda: save(3))
    raises(DatabaseError, "did not affect any rows", request, lambda: save(3, update_fields=["subject"]))
    assert request(lambda: Ticket.objects.get(id=3).delete()[0]) == 0


@test
def a_refused_change_is_an_error_if_so_set():
    refused_changes("error")
    raises(ProgrammingError, REFUSED, request, lambda: save(3))
    raises(ProgrammingError, REFUSED, request, lambda: save(3, update_fields=["subject"]))
    raises(ProgrammingError, "may not delete ticket 3", request, lambda: Ticket.objects.get(id=3).delete())
    # Without a key it is a condition.
    assert request(lambda: Ticket.objects.filter(department_id=1).update(subject="all")) == 2


@test
def a_refused_row_says_why():
    refused_changes("skip")
    raises(
        ProgrammingError, "agent 7 may not create a ticket of desk.ticket in department 2",
        request, lambda: Ticket.objects.create(id=9, subject="new", department_id=2))


run()
