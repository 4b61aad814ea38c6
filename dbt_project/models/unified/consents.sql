-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with weighed as (
    select
        customer_key,
        channel,
        decision,
        decided_at,
        connection,
        customer_id,
        said_by,
        legal_basis,
        max(case when decision = 'opted_out' then 1 else 0 end) over (partition by customer_key, channel) as any_no,
        max(case when decision = 'opted_out' then case when decided_at is null then 1 else 0 end else 0 end) over (partition by customer_key, channel) as undated_no,
        max(case when decision = 'opted_out' then decided_at end) over (partition by customer_key, channel) as latest_no,
        max(case when decision = 'allowed' then decided_at end) over (partition by customer_key, channel) as latest_yes,
        count(*) over (partition by customer_key, channel) as evidence_count,
        count(case when decision = 'opted_out' then 1 end) over (partition by customer_key, channel) as opted_out_count
    from {{ ref('consent_evidence') }}
),

judged as (
    select
        customer_key,
        channel,
        decision,
        decided_at,
        connection,
        customer_id,
        said_by,
        legal_basis,
        evidence_count,
        opted_out_count,
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
        customer_key,
        channel,
        decision,
        decided_at,
        connection,
        customer_id,
        said_by,
        legal_basis,
        evidence_count,
        opted_out_count,
        reason,
        row_number() over (
            partition by customer_key, channel
            order by
                case when decision = case when reason in ('undated', 'latest_no') then 'opted_out' else 'allowed' end then 0 else 1 end,
                case when reason = 'undated' and decided_at is null then 0 else 1 end,
                decided_at desc nulls last, connection, customer_id
        ) as place
    from judged
)

select
    customer_key,
    channel,
    decision,
    decided_at,
    connection,
    customer_id,
    said_by,
    legal_basis,
    case reason
        when 'undated' then 'a record says no, and nobody knows when'
        when 'latest_no' then 'the latest that anybody said is no'
        when 'latest_yes' then 'a later record allows it again'
        when 'no_objection' then 'no record says no'
    end as why,
    evidence_count,
    opted_out_count
from ranked
where place = 1
