-- Which company records are one company, and why. Links of the CRMs and own domains join records; a name joins only what has no domain.
with found as (
    select
        record,
        connection,
        source_system,
        company_id,
        survivor_id,
        own_domain,
        is_deleted,
        company,
        namesakes,
        rule,
        is_current,
        is_trace
    from {{ ref('company_found') }}
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
