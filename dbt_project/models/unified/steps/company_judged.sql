-- Company records with what may join them: where merges end, the domain if it is their own, the bare name, the Salesforce account.
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
)

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
