{# Nobody is allowed of whom a record says no at an unknown time, or later than all that allow it. Said without the model's own windows. #}
{% test no_opt_out_is_lost(model, evidence) %}
select decided.customer_key, decided.channel
from {{ model }} as decided
inner join {{ evidence }} as no
    on no.customer_key = decided.customer_key
    and no.channel = decided.channel
    and no.decision = 'opted_out'
where decided.decision <> 'opted_out'
    and (
        no.decided_at is null
        or not exists (
            select 1 from {{ evidence }} as yes
            where yes.customer_key = no.customer_key
                and yes.channel = no.channel
                and yes.decision = 'allowed'
                and yes.decided_at > no.decided_at
        )
    )
{% endtest %}
