-- Pairs of opportunities of different CRMs that are one deal, by a rule each, in both directions.
with deals as (
    select
        record,
        connection,
        source_system,
        id,
        name,
        value,
        currency,
        close_date,
        is_closed,
        is_won,
        label,
        salesforce_key
    from {{ ref('deal_records') }}
),

-- Whose deal it is: every customer and company that has a part in it.
parties as (
    select distinct record, party
    from (
        select
            parts.connection || ':' || parts.opportunity_id as record,
            'customer:' || links.customer_key as party
        from (
            {{ parts_in_deals() }}
        ) as parts
        inner join {{ source('identity', 'customer_contacts') }} as links
            on links.connection = parts.connection
            and links.customer_id = parts.contact_id
        union all
        select
            opportunities.connection || ':' || opportunities.id as record,
            'company:' || links.company_key as party
        from {{ ref('opportunities') }} as opportunities
        inner join {{ ref('company_records') }} as links
            on links.connection = opportunities.connection
            and links.company_id = opportunities.company_id
    ) as every_part
),

owned as (
    select
        parties.party,
        deals.record,
        deals.connection,
        deals.name,
        deals.value,
        deals.currency,
        deals.close_date,
        deals.is_closed,
        deals.is_won
    from deals
    inner join parties on parties.record = deals.record
),

-- A deal under the days around its closing, so that a day or two off is found by equality.
shifted as (
    select
        owned.party,
        owned.record,
        owned.connection,
        owned.name,
        owned.value,
        owned.currency,
        owned.close_date,
        owned.is_closed,
        owned.is_won,
        {{ days_later('owned.close_date', 'shifts.days') }} as day
    from owned
    cross join (
        {%- for days in range(-3, 4) %}
        select {{ days }} as days{{ ' union all' if not loop.last }}
        {%- endfor %}
    ) as shifts
    where owned.close_date is not null
),

-- Pairs of one owner that have name, value or nearly the day in common; each way is a join by equality, however many deals there are, and
-- compares at once, since a later look-up of both deals could be turned into a comparison of all with all.
compared as (
    select distinct left_record, right_record, right_connection, same_name, similar_name, same_value, value_fits, is_unusual, days
    from (
        {%- for relation, same in [
            ('owned', 'theirs.name = ours.name'), ('owned', 'theirs.value = ours.value'), ('shifted', 'theirs.day = ours.close_date')
        ] %}
        select
            ours.record as left_record,
            theirs.record as right_record,
            theirs.connection as right_connection,
            ours.name = theirs.name as same_name,
            ours.name = theirs.name or ours.name like theirs.name || ' %' or theirs.name like ours.name || ' %' as similar_name,
            ours.value = theirs.value as same_value,
            ours.value is null or theirs.value is null
                or abs(ours.value - theirs.value) <= 0.2 * greatest(ours.value, theirs.value) as value_fits,
            mod(ours.value, 100) <> 0 as is_unusual,
            {{ days_apart('ours.close_date', 'theirs.close_date') }} as days
        from owned as ours
        inner join {{ relation }} as theirs
            on theirs.party = ours.party
            and {{ same }}
            -- What speaks against it: two records of one CRM, two currencies, one won and one lost.
            and theirs.connection <> ours.connection
            and coalesce(theirs.currency = ours.currency, true)
            and not (ours.is_closed and theirs.is_closed and ours.is_won <> theirs.is_won)
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    ) as every_way
),

candidates as (
    select left_record, right_record, right_connection, rule, priority, days
    from (
        {%- set rules = [
            ('same_deal', 'same_name and same_value and days <= 1'),
            ('name_and_value', 'similar_name and same_value and coalesce(days, 0) <= 31'),
            ('name_and_date', 'similar_name and value_fits and days <= 3'),
            ('value_and_date', 'same_value and is_unusual and days <= 1'),
        ] %}
        select
            left_record,
            right_record,
            right_connection,
            days,
            case {% for rule, condition in rules %}when {{ condition }} then '{{ rule }}' {% endfor %}end as rule,
            case {% for rule, condition in rules %}when {{ condition }} then {{ loop.index + 1 }} {% endfor %}end as priority
        from compared
    ) as judged
    where rule is not null
    union all
    select
        ours.record as left_record,
        theirs.record as right_record,
        theirs.connection as right_connection,
        'salesforce_id' as rule,
        1 as priority,
        0 as days
    from deals as ours
    inner join deals as theirs
        on theirs.salesforce_key = ours.salesforce_key
        and theirs.connection <> ours.connection
),

ranked as (
    select
        left_record,
        right_record,
        rule,
        priority,
        rank() over (partition by left_record, right_connection order by priority, coalesce(days, 31)) as place,
        count(*) over (partition by left_record, right_connection, priority, coalesce(days, 31)) as as_good
    from candidates
)

-- Each is the other's best and only best: of two renewals that look the same, neither is linked. What a CRM says needs no such proof.
select
    ours.left_record,
    ours.right_record,
    ours.rule,
    ours.priority
from ranked as ours
inner join ranked as theirs
    on theirs.left_record = ours.right_record
    and theirs.right_record = ours.left_record
    and theirs.rule = ours.rule
where ours.priority = 1
    or (ours.place = 1 and ours.as_good = 1 and theirs.place = 1 and theirs.as_good = 1)
