-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    links.customer_key,
    'email' as channel,
    case when records.do_not_email or records.marketing_suspended then 'opted_out' else 'allowed' end as decision,
    case when records.marketing_suspended then null else records.email_decided_at end as decided_at,
    records.connection,
    records.source_system,
    records.customer_id,
    case when records.do_not_email then 'do_not_email' when records.marketing_suspended then 'marketing_suspended' else 'do_not_email' end as said_by,
    records.legal_basis as legal_basis,
    records.last_updated
from {{ source('identity', 'customer_contacts') }} as links
inner join {{ ref('contacts') }} as records
    on records.connection = links.connection
    and records.customer_id = links.customer_id
where links.is_current and (records.do_not_email is not null or records.marketing_suspended is not null)
union all
select
    links.customer_key,
    'phone' as channel,
    case when records.do_not_call then 'opted_out' else 'allowed' end as decision,
    records.phone_decided_at as decided_at,
    records.connection,
    records.source_system,
    records.customer_id,
    'do_not_call' as said_by,
    records.legal_basis as legal_basis,
    records.last_updated
from {{ source('identity', 'customer_contacts') }} as links
inner join {{ ref('contacts') }} as records
    on records.connection = links.connection
    and records.customer_id = links.customer_id
where links.is_current and (records.do_not_call is not null)
