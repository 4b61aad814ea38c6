{# Nobody is allowed of whom a record says no at an unknown time, or later than all that allow it. Said without the model's own windows. #}
{% test no_opt_out_is_lost(model, evidence) %}
select decided.customer_key, decided.channel
from {{ model }} as decided
inner join {{ evidence }} as refusals
    on refusals.customer_key = decided.customer_key
    and refusals.channel = decided.channel
    and refusals.decision = 'opted_out'
left join (
    select customer_key, channel, max(decided_at) as decided_at
    from {{ evidence }}
    where decision = 'allowed'
    group by customer_key, channel
) as allowances
    on allowances.customer_key = decided.customer_key
    and allowances.channel = decided.channel
where decided.decision <> 'opted_out'
    and (refusals.decided_at is null or allowances.decided_at is null or allowances.decided_at <= refusals.decided_at)
{% endtest %}
