-- Where companies' old keys went: to the company that has most of the records that had the key.
with current_keys as (
    select distinct company_key from {{ ref('company_records') }}
),

known_before as (
    {{ rows_before(['alias_key', 'company_key', 'since']) }}
),

moved as (
    select alias_key, company_key
    from (
        select
            previous_key as alias_key,
            company_key,
            row_number() over (partition by previous_key order by count(*) desc, company_key) as place
        from {{ ref('company_records') }}
        where previous_key is not null
        group by previous_key, company_key
    ) as ranked
    where place = 1
),

-- What an older alias led to may have moved since.
followed as (
    select
        known_before.alias_key,
        coalesce(moved.company_key, later.company_key, known_before.company_key) as company_key,
        cast(known_before.since as {{ dbt.type_timestamp() }}) as since
    from known_before
    left join moved on moved.alias_key = known_before.alias_key
    left join moved as later on later.alias_key = known_before.company_key
    union all
    select
        moved.alias_key,
        moved.company_key,
        newest.synced_at as since
    from moved
    left join known_before on known_before.alias_key = moved.alias_key
    cross join (select max(synced_at) as synced_at from {{ ref('companies') }}) as newest
    where known_before.alias_key is null
)

select
    followed.alias_key,
    followed.company_key,
    followed.since
from followed
inner join current_keys on current_keys.company_key = followed.company_key
left join current_keys as in_use on in_use.company_key = followed.alias_key
where in_use.company_key is null
