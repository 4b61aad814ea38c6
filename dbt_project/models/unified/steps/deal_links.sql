-- Those of the pairs that would not make one deal of two records of one CRM.
with deals as (
    select
        record,
        connection,
        label
    from {{ ref('deal_records') }}
),

mutual as (
    select
        left_record,
        right_record,
        rule,
        priority
    from {{ ref('deal_matches') }}
),

{{ reach_by_links('tried', 'deals', 'mutual') }},

-- Two deals of one CRM are never one because of what a third one resembles.
crowded as (
    select distinct label
    from (
        select tried_4.label, deals.connection
        from tried_4
        inner join deals on deals.record = tried_4.record
        group by tried_4.label, deals.connection
        having count(*) > 1
    ) as several
)

select
    mutual.left_record,
    mutual.right_record,
    mutual.rule,
    mutual.priority
from mutual
inner join tried_4 on tried_4.record = mutual.left_record
left join crowded on crowded.label = tried_4.label
where mutual.priority = 1 or crowded.label is null
