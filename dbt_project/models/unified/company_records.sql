-- Which company records are one company, and why. Links of the CRMs and own domains join records; a name joins only what has no domain.
{%- set mail_providers = [
    'aol.com', 'example.com', 'gmail.com', 'gmx.com', 'gmx.de', 'googlemail.com', 'hotmail.com', 'icloud.com', 'live.com', 'mail.com',
    'outlook.com', 'proton.me', 'protonmail.com', 'web.de', 'yahoo.com'
] %}

with companies as (
    select
        connection || ':' || id as record,
        connection,
        source_system,
        id as company_id,
        case when domain like '%_.__%' and domain not like '% %' then domain end as domain,
        {{ bare_company_name('name') }} as bare_name,
        case when source_system = 'salesforce' then id else salesforce_id end as salesforce_id,
        is_deleted,
        merged_into
    from {{ ref('companies') }}
),

-- Merged, into a record that is there.
moves as (
    select
        companies.connection,
        companies.company_id as id,
        companies.merged_into as goes_to
    from companies
    inner join companies as targets
        on targets.connection = companies.connection
        and targets.company_id = companies.merged_into
),

ends as (
    {{ follow_moves('moves') }}
),

-- A domain that goes with many names is a mail provider's, a site builder's or a social network's, whatever a list of them says.
named as (
    select domain, bare_name, count(*) as times
    from (
        select domain, bare_name from companies where domain is not null and bare_name is not null
        union all
        select {{ part_of_text('email', '@', 2) }} as domain, {{ bare_company_name('company') }} as bare_name
        from {{ ref('contacts') }}
        where email like '%_@_%._%' and company is not null
    ) as seen
    where bare_name is not null and not {{ is_no_name('bare_name') }}
    group by domain, bare_name
),

shared_domains as (
    select domain
    from named
    group by domain
    having count(*) >= 5 and max(times) * 3 < sum(times)
),

judged as (
    select
        companies.record,
        companies.connection,
        companies.source_system,
        companies.company_id,
        companies.is_deleted,
        companies.connection || ':' || coalesce(ends.survivor_id, companies.company_id) as survivor,
        coalesce(ends.survivor_id, companies.company_id) as survivor_id,
        case
            when shared_domains.domain is null and companies.domain not in ('{{ mail_providers | join("', '") }}') then companies.domain
        end as own_domain,
        case when not {{ is_no_name('companies.bare_name') }} then companies.bare_name end as bare_name,
        -- the first 15 letters are the id; the other three only make it safe in lower case
        case when companies.salesforce_id like '001%' and length(companies.salesforce_id) in (15, 18)
            then substring(companies.salesforce_id, 1, 15)
        end as account_id
    from companies
    left join ends
        on ends.connection = companies.connection
        and ends.id = companies.company_id
    left join shared_domains on shared_domains.domain = companies.domain
),

holders as (
    select record, 'record:' || survivor as link_key from judged
    union all
    select record, 'account:' || account_id as link_key from judged where account_id is not null
    union all
    select record, 'domain:' || own_domain as link_key from judged where own_domain is not null
),

{{ reach_by_keys('linked', 'holders', steps=6) }},

-- What links and domains alone make of it.
parts as (
    select
        judged.record,
        linked_6.label as part,
        judged.own_domain,
        judged.bare_name
    from judged
    inner join linked_6 on linked_6.record = judged.record
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
),

found as (
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
),

-- Keys are carried by the records: a company keeps the key that most of its records had, and a key stays with most of its records.
known_before as (
    {{ rows_before(['connection', 'company_id', 'company_key', 'previous_key']) }}
),

votes as (
    select found.company, known_before.company_key, count(*) as votes
    from found
    inner join known_before
        on known_before.connection = found.connection
        and known_before.company_id = found.company_id
    where not found.is_trace and known_before.company_key is not null
    group by found.company, known_before.company_key
),

heirs as (
    select company, company_key, votes
    from (
        select company, company_key, votes, row_number() over (partition by company_key order by votes desc, company) as place
        from votes
    ) as ranked
    where place = 1
),

carried as (
    select company, company_key
    from (
        select company, company_key, row_number() over (partition by company order by votes desc, company_key) as place
        from heirs
    ) as ranked
    where place = 1
),

minted as (
    select
        companies.company,
        {{ dbt.hash("'company:' || companies.company") }} as company_key,
        {{ dbt.hash("'company:' || companies.company || ':' || cast(newest.synced_at as " ~ dbt.type_string() ~ ")") }} as later_key
    from (select distinct company from found) as companies
    cross join (select max(synced_at) as synced_at from {{ ref('companies') }}) as newest
),

keys as (
    select
        minted.company,
        coalesce(carried.company_key, case when taken.company_key is null then minted.company_key else minted.later_key end) as company_key
    from minted
    left join carried on carried.company = minted.company
    left join (select distinct company_key from known_before) as taken on taken.company_key = minted.company_key
),

placed as (
    select
        found.record,
        known_before.company_key as key_before,
        known_before.previous_key,
        found.is_trace and known_before.company_key is not null as is_kept,
        case
            when found.is_trace and known_before.company_key is not null then coalesce(heir_keys.company_key, known_before.company_key)
            else keys.company_key
        end as company_key
    from found
    inner join keys on keys.company = found.company
    left join known_before
        on known_before.connection = found.connection
        and known_before.company_id = found.company_id
    left join heirs on heirs.company_key = known_before.company_key
    left join keys as heir_keys on heir_keys.company = heirs.company
)

select
    found.connection,
    found.source_system,
    found.company_id,
    placed.company_key,
    case when placed.is_kept then 'kept' else found.rule end as rule,
    case
        when placed.is_kept then 'is gone, and its CRM no longer says what it was: stays with its company'
        when found.rule = 'merged' and found.survivor_id <> found.company_id then 'was merged into ' || found.survivor_id || ' in its CRM'
        when found.rule = 'merged' then 'another record of this company was merged into it in its CRM'
        when found.rule = 'salesforce_id' then 'is, or names, the Salesforce account of this company'
        when found.rule = 'domain' and found.namesakes > 1
            then 'has the domain of this company; others of the same name have another domain and are kept apart'
        when found.rule = 'domain' then 'has the domain of this company'
        when found.rule = 'name' then 'has no domain of its own, and the name of this company alone'
        when found.rule = 'contacts' then 'has no domain of its own, and of the companies with its name this is the one that its people write from'
        when found.rule = 'ambiguous_name' then 'has no domain of its own, and several companies have its name: stands alone'
        else 'has neither domain nor name: stands alone'
    end as why,
    found.is_current,
    found.own_domain,
    case when placed.key_before <> placed.company_key then placed.key_before else placed.previous_key end as previous_key
from found
inner join placed on placed.record = found.record
