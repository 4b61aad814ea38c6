-- What the CRMs' links and own domains alone make of the company records.
with judged as (
    select
        record,
        survivor,
        account_id,
        own_domain,
        bare_name
    from {{ ref('company_judged') }}
),

holders as (
    select record, 'record:' || survivor as link_key from judged
    union all
    select record, 'account:' || account_id as link_key from judged where account_id is not null
    union all
    select record, 'domain:' || own_domain as link_key from judged where own_domain is not null
),

{{ reach_by_keys('linked', 'holders', steps=6) }}

select
    judged.record,
    linked_6.label as part,
    judged.own_domain,
    judged.bare_name
from judged
inner join linked_6 on linked_6.record = judged.record
