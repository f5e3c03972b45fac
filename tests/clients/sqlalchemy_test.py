"""SQLAlchemy, with psycopg and with asyncpg."""
import asyncio
import warnings

from sqlalchemy import BigInteger, Text, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from check import REFUSED, URL, raises, run, test


class Base(DeclarativeBase):
    pass


class Ticket(Base):
    __tablename__ = "ticket"
    __table_args__ = {"schema": "desk"}
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    department_id: Mapped[int | None] = mapped_column(BigInteger)
    assignee_id: Mapped[int | None] = mapped_column(BigInteger)


# As in docs/applications.md.
@event.listens_for(Session, "after_begin")
def act_for_agent(session, transaction, connection):
    agent = session.info.get("agent")
    connection.execute(text("SELECT deskguard.set_agent(:agent)"), {"agent": agent})


engine = create_engine("postgresql+psycopg:" + URL)
ASK = select(Ticket.subject).order_by(Ticket.id)


def refused_changes(value):
    with engine.begin() as connection:
        connection.execute(text("SELECT desk.reset()"))
    # For each session from now on.
    engine.dispose()
    engine.url = engine.url.update_query_dict({"options": f"-c deskguard.refused_changes={value}"})


def as_ann(change):
    global engine
    with Session(engine, info={"agent": 7}) as session:
        result = change(session)
        session.commit()
        return result


def save(id):
    def change(session):
        session.get(Ticket, id).subject = "changed"
        session.flush()

    return change


def delete(id):
    def change(session):
        session.delete(session.get(Ticket, id))
        session.flush()

    return change


@test
def a_session_acts_for_its_agent_only():
    refused_changes("skip")
    assert as_ann(lambda session: session.scalars(ASK).all()) == ["unassigned", "of Ann", "of Bob"]
    with Session(engine) as session:
        assert session.scalars(ASK).all() == []


@test
def a_refused_change_that_is_skipped_is_stale():
    refused_changes("skip")
    as_ann(save(1))
    raises(StaleDataError, "0 were matched", as_ann, save(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SAWarning)
        raises(SAWarning, "0 were matched", as_ann, delete(3))


@test
def asyncpg_acts_for_its_agent():
    async def asked():
        async_engine = create_async_engine("postgresql+asyncpg:" + URL)
        try:
            async with AsyncSession(async_engine, info={"agent": 7}) as session:
                seen = (await session.scalars(ASK)).all()
                await session.execute(text("SET LOCAL deskguard.refused_changes = error"))
                ticket = await session.get(Ticket, 3)
                ticket.subject = "changed"
                try:
                    await session.commit()
                except DBAPIError as problem:
                    return seen, str(problem)
                return seen, "no error"
        finally:
            await async_engine.dispose()

    refused_changes("skip")
    seen, problem = asyncio.run(asked())
    assert seen == ["unassigned", "of Ann", "of Bob"]
    assert REFUSED in problem, problem


run()
