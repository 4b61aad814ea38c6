"""The SQL of the tables of consents: what each record says, and what follows for each customer and channel."""

from __future__ import annotations

from cdp_pipelines.consents import Channel, Consents
from cdp_pipelines.generate.sql import listed
from cdp_pipelines.generate.survivors import links_of

# In the order in which one is preferred that says the same: dated before undated, then the newest.
_ORDER = "decided_at desc nulls last, connection, {id}"
WHY = {
    "undated": "a record says no, and nobody knows when",
    "latest_no": "the latest that anybody said is no",
    "latest_yes": "a later record allows it again",
    "no_objection": "no record says no",
}
"""What decided -> what the column `why` says of it."""


def evidence(spec: Consents) -> str:
    """One row for each customer, channel and record that speaks for them."""
    return "union all\n".join(_evidence(spec, name, channel) for name, channel in spec.channels.items())


def decisions(spec: Consents) -> str:
    """One row for each customer and channel: a no holds, unless a record says later that it is allowed again; one whose time is not known always does."""
    key, order = spec.key, _ORDER.format(id=spec.id)
    said = [key, "channel", "decision", "decided_at", "connection", spec.id, "said_by", "legal_basis"]
    counted = [*said, "evidence_count", "opted_out_count"]
    weighed = ",\n        ".join(said)
    judged = ",\n        ".join(counted)
    grouped = f"partition by {key}, channel"
    no = "case when decision = 'opted_out' then"
    return f"""with weighed as (
    select
        {weighed},
        max({no} 1 else 0 end) over ({grouped}) as any_no,
        max({no} case when decided_at is null then 1 else 0 end else 0 end) over ({grouped}) as undated_no,
        max({no} decided_at end) over ({grouped}) as latest_no,
        max(case when decision = 'allowed' then decided_at end) over ({grouped}) as latest_yes,
        count(*) over ({grouped}) as evidence_count,
        count({no} 1 end) over ({grouped}) as opted_out_count
    from {{{{ ref('{spec.evidence}') }}}}
),

judged as (
    select
        {judged},
        case
            when any_no = 0 then 'no_objection'
            when undated_no = 1 then 'undated'
            when latest_yes > latest_no then 'latest_yes'
            else 'latest_no'
        end as reason
    from weighed
),

ranked as (
    select
        {judged},
        reason,
        row_number() over (
            {grouped}
            order by
                case when decision = case when reason in ('undated', 'latest_no') then 'opted_out' else 'allowed' end then 0 else 1 end,
                case when reason = 'undated' and decided_at is null then 0 else 1 end,
                {order}
        ) as place
    from judged
)

select
    {key},
    channel,
    decision,
    decided_at,
    connection,
    {spec.id},
    said_by,
    legal_basis,
    case reason
{chr(10).join(f"        when '{reason}' then '{text}'" for reason, text in WHY.items())}
    end as why,
    evidence_count,
    opted_out_count
from ranked
where place = 1
"""


def _evidence(spec: Consents, name: str, channel: Channel) -> str:
    first, *others = channel.opted_out_if
    no = " or ".join(f"records.{field}" for field in channel.opted_out_if)
    known = " or ".join(f"records.{field} is not null" for field in channel.opted_out_if)
    said_by, date = f"'{first}'", f"records.{channel.decided_at}"
    if others:
        whens = " ".join(f"when records.{field} then '{field}'" for field in channel.opted_out_if)
        said_by = f"case {whens} else '{first}' end"
        # The date is the first field's; of the others nobody knows when they were set.
        date = f"case when {' or '.join(f'records.{field}' for field in others)} then null else {date} end"
    columns = [
        f"links.{spec.key}",
        f"'{name}' as channel",
        f"case when {no} then 'opted_out' else 'allowed' end as decision",
        f"{date} as decided_at",
        "records.connection",
        "records.source_system",
        f"records.{spec.id}",
        f"{said_by} as said_by",
        f"records.{spec.basis} as legal_basis",
        "records.last_updated",
    ]
    return f"""select
{listed(columns)}
from {{{{ {links_of(spec.links)} }}}} as links
inner join {{{{ ref('{spec.records}') }}}} as records
    on records.connection = links.connection
    and records.{spec.id} = links.{spec.id}
where links.is_current and ({known})
"""
