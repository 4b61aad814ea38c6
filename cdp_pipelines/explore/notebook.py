"""The notebook that `make explore` opens. `marimo edit` on it is for changing it; a question of one's own needs only its box."""

import marimo

app = marimo.App(width="medium", app_title="Customer data: questions")

with app.setup:
    from typing import Literal

    import marimo as mo

    from cdp_pipelines.config import ConfigError, load_settings
    from cdp_pipelines.explore import answers, questions
    from cdp_pipelines.query import NotPublished, QueryError


@app.cell
def _():
    settings = load_settings()
    _missing = mo.md(
        f"""
        # Nothing was published yet

        There is no `{settings.published.name}` in `{settings.data_dir.name}`. `make demo` fills it from a sandbox of the three CRMs, `cdp sync`
        from your own; then load this page again.
        """
    )
    mo.stop(not settings.published.exists(), mo.callout(_missing, kind="warn"))
    return (settings,)


@app.cell
def _(settings):
    try:
        _about = answers.ask(
            settings,
            "select strftime(min(seen_until), '%Y-%m-%d %H:%M'), (select count(*) from data_quality where not passed) from sync_status",
        )
    except (QueryError, ConfigError) as error:
        mo.stop(True, mo.callout(mo.md(f"**The published file does not open.** {error}"), kind="danger"))
    _until, _failed = _about.rows[0]
    _found = {0: "no check found anything wrong", 1: "1 check found something wrong"}.get(
        _failed, f"{_failed} checks found something wrong"
    )
    mo.md(
        f"""
        # Customer data: questions

        Everything until {_until or "nobody knows when"} UTC is in it; {_found}.
        The file is opened for reading only; what is asked is in the audit log, without values.
        """
    )


@app.cell
def _():
    asked = questions.load()
    question = mo.ui.dropdown({one.label: one for one in asked}, value=asked[0].label, label="Question", searchable=True, full_width=True)
    masked = mo.ui.switch(label="Ask the masked file, which says of nobody who they are")
    mo.vstack([question, masked])
    return masked, question


@app.cell
def _(question):
    sql = mo.ui.code_editor(question.value.sql if question.value else "", language="sql", label="SQL, yours to change", debounce=True)
    mo.vstack([sql])
    return (sql,)


@app.cell
def _(masked, settings, sql):
    try:
        answer = answers.ask(settings, sql.value, masked=masked.value)
    except (QueryError, NotPublished, ConfigError) as error:
        mo.stop(True, mo.callout(mo.md(f"**No answer.** {error}"), kind="danger"))
    _more = [mo.md(f"The first {answers.ROWS:,} rows; there are more.")] if answer.more else []
    _right: dict[str, Literal["left", "center", "right"]] = dict.fromkeys(answer.numbers(), "right")
    _table = mo.ui.table(answer.records(), selection=None, page_size=15, text_justify_columns=_right) if answer.rows else mo.md("No row.")
    mo.vstack([_table, *_more])
    return (answer,)


@app.cell
def _(answer):
    number = mo.ui.dropdown(answer.numbers(), value=next(iter(answer.numbers()), None), label="Chart of")
    number if answer.numbers() else None
    return (number,)


@app.cell
def _(answer, number):
    mo.Html(answers.chart(answer, number.value)) if number.value else None


@app.cell
def _(masked, settings):
    tables = answers.tables(settings, masked=masked.value)
    table = mo.ui.dropdown(sorted(tables), value="contacts" if "contacts" in tables else None, label="Table", searchable=True)
    mo.vstack([mo.md("## What the tables and columns mean"), table])
    return table, tables


@app.cell
def _(masked, settings, table, tables):
    mo.stop(table.value is None)
    _columns = answers.columns(settings, table.value, masked=masked.value)
    mo.vstack(
        [
            mo.md(tables[table.value]),
            mo.ui.table(_columns, selection=None, page_size=60, wrapped_columns=["meaning"], column_widths={"meaning": 620}),
        ]
    )


if __name__ == "__main__":
    app.run()
