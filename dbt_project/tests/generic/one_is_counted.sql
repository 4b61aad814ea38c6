{# Each group has exactly one row that is counted, apart from rows with this rule. #}
{% test one_is_counted(model, group, except_rule) %}
select {{ group }}, sum(case when is_counted then 1 else 0 end) as counted
from {{ model }}
where rule <> '{{ except_rule }}'
group by {{ group }}
having sum(case when is_counted then 1 else 0 end) <> 1
{% endtest %}
