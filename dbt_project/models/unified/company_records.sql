-- Which company records are one company, and why.
{%- set mail_providers = [
    'aol.com', 'example.com', 'gmail.com', 'gmx.com', 'gmx.de', 'googlemail.com', 'hotmail.com', 'icloud.com', 'live.com', 'mail.com',
    'outlook.com', 'proton.me', 'protonmail.com', 'web.de', 'yahoo.com'
] %}
{%- set legal_forms = [
    'incorporated', 'corporation', 'company', 'limited', 'gmbh', 'corp', 'inc', 'llc', 'llp', 'ltd', 'plc', 'ag', 'bv', 'co', 'sa'
] %}

with companies as (
    select
        connection,
        source_system,
        id as company_id,
        domain,
        trim(replace(replace(lower(name), ',', ' '), '.', '')) as plain_name,
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

survivors as (
    select
        companies.connection,
        companies.source_system,
        companies.company_id,
        companies.is_deleted,
        coalesce(ends.survivor_id, companies.company_id) as survivor_id
    from companies
    left join ends
        on ends.connection = companies.connection
        and ends.id = companies.company_id
),

judged as (
    select
        connection,
        company_id,
        case when domain like '%_.__%' and domain not in ('{{ mail_providers | join("', '") }}') then domain end as own_domain,
        nullif(
            case
                {%- for form in legal_forms %}
                when plain_name like '%_ {{ form }}' then trim(substring(plain_name, 1, length(plain_name) - {{ form | length }}))
                {%- endfor %}
                else plain_name
            end,
            ''
        ) as bare_name
    from companies
),

keyed as (
    select
        survivors.connection,
        survivors.source_system,
        survivors.company_id,
        survivors.survivor_id,
        case
            when judged.own_domain is not null then 'domain:' || judged.own_domain
            when judged.bare_name is not null then 'name:' || judged.bare_name
            else 'company:' || survivors.connection || ':' || survivors.survivor_id
        end as key_text,
        case
            when survivors.survivor_id <> survivors.company_id then 'merged'
            when judged.own_domain is not null then 'domain'
            when judged.bare_name is not null then 'name'
            else 'nothing'
        end as rule,
        not survivors.is_deleted and survivors.survivor_id = survivors.company_id as is_current
    from survivors
    inner join judged
        on judged.connection = survivors.connection
        and judged.company_id = survivors.survivor_id
)

select
    connection,
    source_system,
    company_id,
    {{ dbt.hash('key_text') }} as company_key,
    rule,
    case rule
        when 'domain' then 'has the domain of this company'
        when 'name' then 'has no domain of its own, and the name of this company'
        when 'merged' then 'was merged into ' || survivor_id || ' in its CRM'
        else 'has neither domain nor name: stands alone'
    end as why,
    is_current
from keyed
