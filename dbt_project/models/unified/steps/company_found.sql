-- Which company each record is of, parts without a domain joined by name or by their people, and by which rule; not yet its key.
with judged as (
    select
        record,
        connection,
        source_system,
        company_id,
        is_deleted,
        survivor,
        survivor_id,
        own_domain,
        account_id
    from {{ ref('company_judged') }}
),

parts as (
    select
        record,
        part,
        own_domain,
        bare_name
    from {{ ref('company_parts') }}
),

part_facts as (
    select
        part,
        max(case when own_domain is not null then 1 else 0 end) as has_domain,
        min(bare_name) as bare_name
    from parts
    group by part
),

-- Names of parts that have a domain: a part without one may join the only one of its name.
domain_names as (
    select bare_name, count(distinct part) as part_count, min(part) as part
    from (
        select distinct parts.part, parts.bare_name
        from parts
        inner join part_facts on part_facts.part = parts.part
        where part_facts.has_domain = 1 and parts.bare_name is not null
    ) as names
    group by bare_name
),

-- Where several companies have the name, the addresses of a record's own people may say which of them it is.
mail_domains as (
    select
        parts.part,
        {{ part_of_text('contacts.email', '@', 2) }} as domain,
        count(*) as times
    from {{ ref('contacts') }} as contacts
    inner join parts on parts.record = contacts.connection || ':' || contacts.company_id
    inner join part_facts on part_facts.part = parts.part
    where part_facts.has_domain = 0 and not contacts.is_deleted and contacts.email like '%_@_%._%'
    group by parts.part, {{ part_of_text('contacts.email', '@', 2) }}
),

by_people as (
    select part, goes_to
    from (
        select
            mail_domains.part,
            owners.part as goes_to,
            row_number() over (partition by mail_domains.part order by mail_domains.times desc, owners.part) as place,
            count(*) over (partition by mail_domains.part, mail_domains.times) as as_many
        from mail_domains
        inner join (select distinct part, own_domain from parts where own_domain is not null) as owners
            on owners.own_domain = mail_domains.domain
        inner join part_facts on part_facts.part = mail_domains.part
        inner join parts as namesakes
            on namesakes.part = owners.part
            and namesakes.bare_name = part_facts.bare_name
        group by mail_domains.part, owners.part, mail_domains.times
    ) as ranked
    where place = 1 and as_many = 1
),

grouped as (
    select
        part_facts.part,
        coalesce(domain_names.part_count, 0) as namesakes,
        case
            when part_facts.has_domain = 1 or part_facts.bare_name is null then part_facts.part
            when domain_names.part_count = 1 then domain_names.part
            when by_people.goes_to is not null then by_people.goes_to
            when domain_names.part_count > 1 then part_facts.part
            else min(case when part_facts.has_domain = 0 and domain_names.part_count is null then part_facts.part end)
                over (partition by part_facts.bare_name)
        end as company,
        case
            when part_facts.has_domain = 1 then 'domain'
            when part_facts.bare_name is null then 'nothing'
            when by_people.goes_to is not null and domain_names.part_count > 1 then 'contacts'
            when domain_names.part_count > 1 then 'ambiguous_name'
            else 'name'
        end as rule
    from part_facts
    left join domain_names on domain_names.bare_name = part_facts.bare_name
    left join by_people on by_people.part = part_facts.part
),

accounts as (
    select account_id, count(*) as record_count
    from judged
    where account_id is not null and record = survivor
    group by account_id
)

select
    judged.record,
    judged.connection,
    judged.source_system,
    judged.company_id,
    judged.survivor_id,
    judged.own_domain,
    judged.is_deleted,
    grouped.company,
    grouped.namesakes,
    case
        when judged.survivor <> judged.record then 'merged'
        when accounts.record_count > 1 then 'salesforce_id'
        when judged.own_domain is not null then 'domain'
        -- linked by another record of its part
        when grouped.rule = 'domain' then 'merged'
        else grouped.rule
    end as rule,
    not judged.is_deleted and judged.survivor = judged.record as is_current,
    -- of a record that is gone its CRM may tell no more than the id
    judged.is_deleted and grouped.rule = 'nothing' and coalesce(accounts.record_count, 0) <= 1 as is_trace
from judged
inner join parts on parts.record = judged.record
inner join grouped on grouped.part = parts.part
left join accounts on accounts.account_id = judged.account_id
