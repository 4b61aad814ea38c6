-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with salesforce__contacts as (
    with records as (
        {{ latest(source('raw_salesforce', 'contact'), key=['id'], columns=['id', 'account_id', 'email', 'first_name', 'last_name',
            'phone', 'title', 'lead_score__c', 'lead_score__c_85a0ab', 'pi__score__c', 'mkto71_lead_score__c', 'lead_source', 'created_date',
            'last_modified_date', 'mobile_phone', 'mailing_city', 'mailing_state', 'mailing_country', 'owner_id', 'has_opted_out_of_email',
            'do_not_call']) }}
    ),

    account as (
        {{ latest(source('raw_salesforce', 'account'), key=['id'], columns=['id', 'name']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.lead_score__c') }}, {{ clean_text('records.lead_score__c_85a0ab') }}, {{ clean_text('records.pi__score__c') }}, {{ clean_text('records.mkto71_lead_score__c') }}, '') <> '' then 1 end) as lead_score__given,
        count(case when coalesce({{ clean_text('records.lead_score__c') }}, {{ clean_text('records.lead_score__c_85a0ab') }}, {{ clean_text('records.pi__score__c') }}, {{ clean_text('records.mkto71_lead_score__c') }}, '') <> '' and {{ to_decimal(first_filled(['records.lead_score__c', 'records.lead_score__c_85a0ab', 'records.pi__score__c', 'records.mkto71_lead_score__c']), 9, 2) }} is null then 1 end) as lead_score__failed,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' and {{ to_timestamp_utc('records.created_date') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' and {{ to_timestamp_utc('records.last_modified_date') }} is null then 1 end) as last_updated__failed,
        count(case when coalesce({{ clean_text('records.has_opted_out_of_email') }}, '') <> '' then 1 end) as do_not_email__given,
        count(case when coalesce({{ clean_text('records.has_opted_out_of_email') }}, '') <> '' and {{ to_boolean('records.has_opted_out_of_email') }} is null then 1 end) as do_not_email__failed,
        count(case when coalesce({{ clean_text('records.do_not_call') }}, '') <> '' then 1 end) as do_not_call__given,
        count(case when coalesce({{ clean_text('records.do_not_call') }}, '') <> '' and {{ to_boolean('records.do_not_call') }} is null then 1 end) as do_not_call__failed
    from records
    left join account
        on account.connection = records.connection
        and account.id = records.account_id
    group by records.connection
), salesforce__leads as (
    with records as (
        {{ latest(source('raw_salesforce', 'lead'), key=['id'], columns=['id', 'email', 'first_name', 'last_name', 'phone', 'company',
            'title', 'lead_score__c', 'lead_score__c_85a0ab', 'pi__score__c', 'mkto71_lead_score__c', 'lead_source', 'created_date',
            'last_modified_date', 'status', 'mobile_phone', 'city', 'state', 'country', 'owner_id', 'converted_account_id',
            'has_opted_out_of_email', 'do_not_call', 'converted_contact_id']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.lead_score__c') }}, {{ clean_text('records.lead_score__c_85a0ab') }}, {{ clean_text('records.pi__score__c') }}, {{ clean_text('records.mkto71_lead_score__c') }}, '') <> '' then 1 end) as lead_score__given,
        count(case when coalesce({{ clean_text('records.lead_score__c') }}, {{ clean_text('records.lead_score__c_85a0ab') }}, {{ clean_text('records.pi__score__c') }}, {{ clean_text('records.mkto71_lead_score__c') }}, '') <> '' and {{ to_decimal(first_filled(['records.lead_score__c', 'records.lead_score__c_85a0ab', 'records.pi__score__c', 'records.mkto71_lead_score__c']), 9, 2) }} is null then 1 end) as lead_score__failed,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' and {{ to_timestamp_utc('records.created_date') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' and {{ to_timestamp_utc('records.last_modified_date') }} is null then 1 end) as last_updated__failed,
        count(case when coalesce({{ clean_text('records.has_opted_out_of_email') }}, '') <> '' then 1 end) as do_not_email__given,
        count(case when coalesce({{ clean_text('records.has_opted_out_of_email') }}, '') <> '' and {{ to_boolean('records.has_opted_out_of_email') }} is null then 1 end) as do_not_email__failed,
        count(case when coalesce({{ clean_text('records.do_not_call') }}, '') <> '' then 1 end) as do_not_call__given,
        count(case when coalesce({{ clean_text('records.do_not_call') }}, '') <> '' and {{ to_boolean('records.do_not_call') }} is null then 1 end) as do_not_call__failed
    from records
    group by records.connection
), salesforce__opportunities as (
    with records as (
        {{ latest(source('raw_salesforce', 'opportunity'), key=['id'], columns=['id', 'contact_id', 'name', 'stage_name', 'amount',
            'probability', 'close_date', 'currency_iso_code', 'is_closed', 'is_won', 'account_id', 'owner_id', 'created_date',
            'last_modified_date']) }}
    ),

    primary_role_rows as (
        {{ latest(source('raw_salesforce', 'opportunity_contact_role'), key=['id'], columns=['id', 'opportunity_id', 'is_primary',
            'contact_id']) }}
    ),

    primary_role as (
        select
            connection,
            opportunity_id,
            contact_id
        from (
            select
                primary_role_rows.connection as connection,
                primary_role_rows.opportunity_id as opportunity_id,
                primary_role_rows.contact_id as contact_id,
                row_number() over (
                    partition by primary_role_rows.connection, primary_role_rows.opportunity_id
                    order by primary_role_rows.id nulls last
                ) as place
            from primary_role_rows
            where primary_role_rows.is_primary = 'true' and coalesce(primary_role_rows._deleted, 'false') <> 'true'
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.amount') }}, '') <> '' then 1 end) as value__given,
        count(case when coalesce({{ clean_text('records.amount') }}, '') <> '' and {{ to_decimal('records.amount', 18, 2) }} is null then 1 end) as value__failed,
        count(case when coalesce({{ clean_text('records.probability') }}, '') <> '' then 1 end) as probability__given,
        count(case when coalesce({{ clean_text('records.probability') }}, '') <> '' and cast({{ to_decimal('records.probability', 9, 6) }} * 0.01 as decimal(9,6)) is null then 1 end) as probability__failed,
        count(case when coalesce({{ clean_text('records.close_date') }}, '') <> '' then 1 end) as close_date__given,
        count(case when coalesce({{ clean_text('records.close_date') }}, '') <> '' and {{ to_date_utc('records.close_date') }} is null then 1 end) as close_date__failed,
        count(case when coalesce({{ clean_text('records.is_closed') }}, '') <> '' then 1 end) as is_closed__given,
        count(case when coalesce({{ clean_text('records.is_closed') }}, '') <> '' and {{ to_boolean('records.is_closed') }} is null then 1 end) as is_closed__failed,
        count(case when coalesce({{ clean_text('records.is_won') }}, '') <> '' then 1 end) as is_won__given,
        count(case when coalesce({{ clean_text('records.is_won') }}, '') <> '' and {{ to_boolean('records.is_won') }} is null then 1 end) as is_won__failed,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' and {{ to_timestamp_utc('records.created_date') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' and {{ to_timestamp_utc('records.last_modified_date') }} is null then 1 end) as last_updated__failed
    from records
    left join primary_role
        on primary_role.connection = records.connection
        and primary_role.opportunity_id = records.id
    group by records.connection
), salesforce__opportunity_contacts as (
    with records as (
        {{ latest(source('raw_salesforce', 'opportunity_contact_role'), key=['id'], columns=['id', 'opportunity_id', 'contact_id', 'role',
            'is_primary']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.is_primary') }}, '') <> '' then 1 end) as is_primary__given,
        count(case when coalesce({{ clean_text('records.is_primary') }}, '') <> '' and {{ to_boolean('records.is_primary') }} is null then 1 end) as is_primary__failed
    from records
    group by records.connection
), salesforce__companies as (
    with records as (
        {{ latest(source('raw_salesforce', 'account'), key=['id'], columns=['id', 'name', 'website', 'industry', 'phone', 'billing_city',
            'billing_state', 'billing_country', 'number_of_employees', 'annual_revenue', 'owner_id', 'created_date', 'last_modified_date']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.number_of_employees') }}, '') <> '' then 1 end) as employees__given,
        count(case when coalesce({{ clean_text('records.number_of_employees') }}, '') <> '' and {{ to_integer('records.number_of_employees') }} is null then 1 end) as employees__failed,
        count(case when coalesce({{ clean_text('records.annual_revenue') }}, '') <> '' then 1 end) as annual_revenue__given,
        count(case when coalesce({{ clean_text('records.annual_revenue') }}, '') <> '' and {{ to_decimal('records.annual_revenue', 18, 2) }} is null then 1 end) as annual_revenue__failed,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' and {{ to_timestamp_utc('records.created_date') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' and {{ to_timestamp_utc('records.last_modified_date') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
), salesforce__campaigns as (
    with records as (
        {{ latest(source('raw_salesforce', 'campaign'), key=['id'], columns=['id', 'name', 'type', 'status', 'is_active', 'parent_id',
            'start_date', 'end_date', 'owner_id', 'created_date', 'last_modified_date']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.is_active') }}, '') <> '' then 1 end) as is_active__given,
        count(case when coalesce({{ clean_text('records.is_active') }}, '') <> '' and {{ to_boolean('records.is_active') }} is null then 1 end) as is_active__failed,
        count(case when coalesce({{ clean_text('records.start_date') }}, '') <> '' then 1 end) as start_date__given,
        count(case when coalesce({{ clean_text('records.start_date') }}, '') <> '' and {{ to_date_utc('records.start_date') }} is null then 1 end) as start_date__failed,
        count(case when coalesce({{ clean_text('records.end_date') }}, '') <> '' then 1 end) as end_date__given,
        count(case when coalesce({{ clean_text('records.end_date') }}, '') <> '' and {{ to_date_utc('records.end_date') }} is null then 1 end) as end_date__failed,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' and {{ to_timestamp_utc('records.created_date') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' and {{ to_timestamp_utc('records.last_modified_date') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
), salesforce__campaign_members as (
    with records as (
        {{ latest(source('raw_salesforce', 'campaign_member'), key=['id'], columns=['id', 'campaign_id', 'contact_id', 'lead_id',
            'status', 'has_responded', 'created_date', 'last_modified_date']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.has_responded') }}, '') <> '' then 1 end) as responded__given,
        count(case when coalesce({{ clean_text('records.has_responded') }}, '') <> '' and {{ to_boolean('records.has_responded') }} is null then 1 end) as responded__failed,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_date') }}, '') <> '' and {{ to_timestamp_utc('records.created_date') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.last_modified_date') }}, '') <> '' and {{ to_timestamp_utc('records.last_modified_date') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
), hubspot__contacts as (
    with records as (
        {{ latest(source('raw_hubspot', 'contacts'), key=['id'], columns=['id', 'email', 'firstname', 'lastname', 'phone', 'company',
            'jobtitle', 'hs_lead_score', 'hubspotscore', 'hs_predictivecontactscore_v2', 'hs_predictivecontactscore', 'lifecyclestage',
            'createdate', 'lastmodifieddate', 'hs_analytics_source', 'mobilephone', 'city', 'state', 'country', 'hubspot_owner_id',
            'hs_email_optout', 'hs_legal_basis', 'salesforcecontactid', 'salesforceleadid']) }}
    ),

    main_company_rows as (
        {{ latest_set(source('raw_hubspot', 'contact_company_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
            'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
    ),

    main_company as (
        select
            connection,
            from_id,
            to_id
        from (
            select
                main_company_rows.connection as connection,
                main_company_rows.from_id as from_id,
                main_company_rows.to_id as to_id,
                row_number() over (
                    partition by main_company_rows.connection, main_company_rows.from_id
                    order by case when {{ lower_case('main_company_rows.label') }} = 'primary' then 0 else 1 end nulls last, {{ to_integer('main_company_rows.type_id') }} nulls last, {{ to_integer('main_company_rows.to_id') }} nulls last
                ) as place
            from main_company_rows
            where main_company_rows.to_id is not null
        ) as ranked
        where place = 1
    ),

    company_record as (
        {{ latest(source('raw_hubspot', 'companies'), key=['id'], columns=['id', 'name']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.hs_lead_score') }}, {{ clean_text('records.hubspotscore') }}, {{ clean_text('records.hs_predictivecontactscore_v2') }}, {{ clean_text('records.hs_predictivecontactscore') }}, '') <> '' then 1 end) as lead_score__given,
        count(case when coalesce({{ clean_text('records.hs_lead_score') }}, {{ clean_text('records.hubspotscore') }}, {{ clean_text('records.hs_predictivecontactscore_v2') }}, {{ clean_text('records.hs_predictivecontactscore') }}, '') <> '' and {{ to_decimal(first_filled(['records.hs_lead_score', 'records.hubspotscore', 'records.hs_predictivecontactscore_v2', 'records.hs_predictivecontactscore']), 9, 2) }} is null then 1 end) as lead_score__failed,
        count(case when coalesce({{ clean_text('records.createdate') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.createdate') }}, '') <> '' and {{ to_timestamp_utc('records.createdate') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.lastmodifieddate') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.lastmodifieddate') }}, '') <> '' and {{ to_timestamp_utc('records.lastmodifieddate') }} is null then 1 end) as last_updated__failed,
        count(case when coalesce({{ clean_text('records.hs_email_optout') }}, '') <> '' then 1 end) as do_not_email__given,
        count(case when coalesce({{ clean_text('records.hs_email_optout') }}, '') <> '' and {{ to_boolean('records.hs_email_optout') }} is null then 1 end) as do_not_email__failed
    from records
    left join main_company
        on main_company.connection = records.connection
        and main_company.from_id = records.id
    left join company_record
        on company_record.connection = records.connection
        and company_record.id = main_company.to_id
    group by records.connection
), hubspot__deals as (
    with records as (
        {{ latest(source('raw_hubspot', 'deals'), key=['id'], columns=['id', 'pipeline', 'dealstage', 'dealname', 'amount',
            'hs_deal_stage_probability', 'closedate', 'deal_currency_code', 'hs_is_closed', 'hs_is_closed_won', 'hubspot_owner_id',
            'createdate', 'hs_lastmodifieddate', 'hs_salesforceopportunityid']) }}
    ),

    stage as (
        {{ latest(source('raw_hubspot', 'pipeline_stages'), key=['pipeline_id', 'stage_id'], columns=['pipeline_id', 'stage_id', 'label',
            'probability', 'pipeline_label', 'is_closed']) }}
    ),

    main_contact_rows as (
        {{ latest_set(source('raw_hubspot', 'deal_contact_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
            'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
    ),

    main_contact as (
        select
            connection,
            from_id,
            to_id
        from (
            select
                main_contact_rows.connection as connection,
                main_contact_rows.from_id as from_id,
                main_contact_rows.to_id as to_id,
                row_number() over (
                    partition by main_contact_rows.connection, main_contact_rows.from_id
                    order by case when {{ lower_case('main_contact_rows.label') }} like '%primary%' then 0 else 1 end nulls last, {{ to_integer('main_contact_rows.type_id') }} nulls last, {{ to_integer('main_contact_rows.to_id') }} nulls last
                ) as place
            from main_contact_rows
            where main_contact_rows.to_id is not null
        ) as ranked
        where place = 1
    ),

    main_company_rows as (
        {{ latest_set(source('raw_hubspot', 'deal_company_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
            'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
    ),

    main_company as (
        select
            connection,
            from_id,
            to_id
        from (
            select
                main_company_rows.connection as connection,
                main_company_rows.from_id as from_id,
                main_company_rows.to_id as to_id,
                row_number() over (
                    partition by main_company_rows.connection, main_company_rows.from_id
                    order by case when {{ lower_case('main_company_rows.label') }} = 'primary' then 0 else 1 end nulls last, {{ to_integer('main_company_rows.type_id') }} nulls last, {{ to_integer('main_company_rows.to_id') }} nulls last
                ) as place
            from main_company_rows
            where main_company_rows.to_id is not null
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.amount') }}, '') <> '' then 1 end) as value__given,
        count(case when coalesce({{ clean_text('records.amount') }}, '') <> '' and {{ to_decimal('records.amount', 18, 2) }} is null then 1 end) as value__failed,
        count(case when coalesce({{ clean_text('records.hs_deal_stage_probability') }}, {{ clean_text('stage.probability') }}, '') <> '' then 1 end) as probability__given,
        count(case when coalesce({{ clean_text('records.hs_deal_stage_probability') }}, {{ clean_text('stage.probability') }}, '') <> '' and cast(coalesce({{ to_decimal('records.hs_deal_stage_probability', 9, 6) }}, {{ to_decimal('stage.probability', 9, 6) }}) as decimal(9,6)) is null then 1 end) as probability__failed,
        count(case when coalesce({{ clean_text('records.closedate') }}, '') <> '' then 1 end) as close_date__given,
        count(case when coalesce({{ clean_text('records.closedate') }}, '') <> '' and {{ to_date_utc('records.closedate') }} is null then 1 end) as close_date__failed,
        count(case when coalesce({{ clean_text('records.hs_is_closed') }}, {{ clean_text('stage.is_closed') }}, '') <> '' then 1 end) as is_closed__given,
        count(case when coalesce({{ clean_text('records.hs_is_closed') }}, {{ clean_text('stage.is_closed') }}, '') <> '' and {{ to_boolean(first_filled(['records.hs_is_closed', 'stage.is_closed'])) }} is null then 1 end) as is_closed__failed,
        count(case when coalesce({{ clean_text('records.hs_is_closed_won') }}, {{ clean_text('stage.is_closed') }}, {{ clean_text('stage.probability') }}, '') <> '' then 1 end) as is_won__given,
        count(case when coalesce({{ clean_text('records.hs_is_closed_won') }}, {{ clean_text('stage.is_closed') }}, {{ clean_text('stage.probability') }}, '') <> '' and cast(coalesce({{ to_boolean('records.hs_is_closed_won') }}, {{ to_boolean('stage.is_closed') }} and {{ to_decimal('stage.probability', 9, 6) }} = 1) as boolean) is null then 1 end) as is_won__failed,
        count(case when coalesce({{ clean_text('records.createdate') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.createdate') }}, '') <> '' and {{ to_timestamp_utc('records.createdate') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.hs_lastmodifieddate') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.hs_lastmodifieddate') }}, '') <> '' and {{ to_timestamp_utc('records.hs_lastmodifieddate') }} is null then 1 end) as last_updated__failed
    from records
    left join stage
        on stage.connection = records.connection
        and stage.pipeline_id = records.pipeline
        and stage.stage_id = records.dealstage
    left join main_contact
        on main_contact.connection = records.connection
        and main_contact.from_id = records.id
    left join main_company
        on main_company.connection = records.connection
        and main_company.from_id = records.id
    group by records.connection
), hubspot__deal_contacts as (
    with deal_contact_associations_rows as (
        {{ latest_set(source('raw_hubspot', 'deal_contact_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
            'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
    ),

    records as (
        select
            deal_contact_associations_rows.connection as connection,
            deal_contact_associations_rows._synced_at as _synced_at,
            deal_contact_associations_rows._deleted as _deleted,
            deal_contact_associations_rows._merged_into as _merged_into,
            deal_contact_associations_rows.to_id as to_id,
            deal_contact_associations_rows.from_id as from_id,
            deal_contact_associations_rows.label as label,
            deal_contact_associations_rows.category as category,
            deal_contact_associations_rows.type_id as type_id
        from deal_contact_associations_rows
        where deal_contact_associations_rows.to_id is not null
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.label') }}, '') <> '' then 1 end) as is_primary__given,
        count(case when coalesce({{ clean_text('records.label') }}, '') <> '' and cast(coalesce({{ lower_case('records.label') }} like '%primary%', false) as boolean) is null then 1 end) as is_primary__failed
    from records
    group by records.connection
), hubspot__companies as (
    with records as (
        {{ latest(source('raw_hubspot', 'companies'), key=['id'], columns=['id', 'name', 'domain', 'website', 'industry', 'phone', 'city',
            'state', 'country', 'numberofemployees', 'annualrevenue', 'hubspot_owner_id', 'createdate', 'hs_lastmodifieddate',
            'salesforceaccountid']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.numberofemployees') }}, '') <> '' then 1 end) as employees__given,
        count(case when coalesce({{ clean_text('records.numberofemployees') }}, '') <> '' and {{ to_integer('records.numberofemployees') }} is null then 1 end) as employees__failed,
        count(case when coalesce({{ clean_text('records.annualrevenue') }}, '') <> '' then 1 end) as annual_revenue__given,
        count(case when coalesce({{ clean_text('records.annualrevenue') }}, '') <> '' and {{ to_decimal('records.annualrevenue', 18, 2) }} is null then 1 end) as annual_revenue__failed,
        count(case when coalesce({{ clean_text('records.createdate') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.createdate') }}, '') <> '' and {{ to_timestamp_utc('records.createdate') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.hs_lastmodifieddate') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.hs_lastmodifieddate') }}, '') <> '' and {{ to_timestamp_utc('records.hs_lastmodifieddate') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
), hubspot__lifecycle_stage_changes as (
    with lifecycle_stage_history_rows as (
        {{ latest_set(source('raw_hubspot', 'lifecycle_stage_history'), replaced_by=['contact_id'], key=['contact_id', 'timestamp',
            'value'], columns=['contact_id', 'timestamp', 'value', 'source_type']) }}
    ),

    records as (
        select
            lifecycle_stage_history_rows.connection as connection,
            lifecycle_stage_history_rows._synced_at as _synced_at,
            lifecycle_stage_history_rows._deleted as _deleted,
            lifecycle_stage_history_rows._merged_into as _merged_into,
            lifecycle_stage_history_rows.timestamp as timestamp,
            lifecycle_stage_history_rows.contact_id as contact_id,
            lifecycle_stage_history_rows.value as value,
            lifecycle_stage_history_rows.source_type as source_type
        from lifecycle_stage_history_rows
        where lifecycle_stage_history_rows.timestamp is not null
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.timestamp') }}, '') <> '' then 1 end) as changed_at__given,
        count(case when coalesce({{ clean_text('records.timestamp') }}, '') <> '' and {{ to_timestamp_utc('records.timestamp') }} is null then 1 end) as changed_at__failed
    from records
    group by records.connection
), marketo__leads as (
    with records as (
        {{ latest(source('raw_marketo', 'leads'), key=['id'], columns=['id', 'external_company_id', 'email', 'first_name', 'last_name',
            'phone', 'company', 'title', 'lead_score', 'lead_source', 'created_at', 'updated_at', 'original_source_type', 'lead_status',
            'mobile_phone', 'city', 'state', 'country', 'external_sales_person_id', 'contact_company', 'unsubscribed', 'marketing_suspended',
            'do_not_call', 'sfdc_contact_id', 'sfdc_lead_id']) }}
    ),

    company_record_rows as (
        {{ latest(source('raw_marketo', 'companies'), key=['id'], columns=['id', 'external_company_id']) }}
    ),

    company_record as (
        select
            connection,
            external_company_id,
            id
        from (
            select
                company_record_rows.connection as connection,
                company_record_rows.external_company_id as external_company_id,
                company_record_rows.id as id,
                row_number() over (
                    partition by company_record_rows.connection, company_record_rows.external_company_id
                    order by company_record_rows.id nulls last
                ) as place
            from company_record_rows
        ) as ranked
        where place = 1
    ),

    email_change_rows as (
        {{ latest(source('raw_marketo', 'activities'), key=['marketo_guid'], columns=['marketo_guid', 'lead_id', 'activity_type_id',
            'primary_attribute_value', 'activity_date']) }}
    ),

    email_change as (
        select
            connection,
            lead_id,
            activity_date
        from (
            select
                email_change_rows.connection as connection,
                email_change_rows.lead_id as lead_id,
                email_change_rows.activity_date as activity_date,
                row_number() over (
                    partition by email_change_rows.connection, email_change_rows.lead_id
                    order by {{ to_timestamp_utc('email_change_rows.activity_date') }} desc nulls last, email_change_rows.marketo_guid desc nulls last
                ) as place
            from email_change_rows
            where email_change_rows.activity_type_id = '13' and {{ lower_case('email_change_rows.primary_attribute_value') }} = 'unsubscribed'
        ) as ranked
        where place = 1
    ),

    phone_change_rows as (
        {{ latest(source('raw_marketo', 'activities'), key=['marketo_guid'], columns=['marketo_guid', 'lead_id', 'activity_type_id',
            'primary_attribute_value', 'activity_date']) }}
    ),

    phone_change as (
        select
            connection,
            lead_id,
            activity_date
        from (
            select
                phone_change_rows.connection as connection,
                phone_change_rows.lead_id as lead_id,
                phone_change_rows.activity_date as activity_date,
                row_number() over (
                    partition by phone_change_rows.connection, phone_change_rows.lead_id
                    order by {{ to_timestamp_utc('phone_change_rows.activity_date') }} desc nulls last, phone_change_rows.marketo_guid desc nulls last
                ) as place
            from phone_change_rows
            where phone_change_rows.activity_type_id = '13' and {{ lower_case('phone_change_rows.primary_attribute_value') }} in ('do not call', 'donotcall')
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.lead_score') }}, '') <> '' then 1 end) as lead_score__given,
        count(case when coalesce({{ clean_text('records.lead_score') }}, '') <> '' and {{ to_decimal('records.lead_score', 9, 2) }} is null then 1 end) as lead_score__failed,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' and {{ to_timestamp_utc('records.created_at') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' and {{ to_timestamp_utc('records.updated_at') }} is null then 1 end) as last_updated__failed,
        count(case when coalesce({{ clean_text('records.unsubscribed') }}, '') <> '' then 1 end) as do_not_email__given,
        count(case when coalesce({{ clean_text('records.unsubscribed') }}, '') <> '' and {{ to_boolean('records.unsubscribed') }} is null then 1 end) as do_not_email__failed,
        count(case when coalesce({{ clean_text('email_change.activity_date') }}, '') <> '' then 1 end) as email_decided_at__given,
        count(case when coalesce({{ clean_text('email_change.activity_date') }}, '') <> '' and {{ to_timestamp_utc('email_change.activity_date') }} is null then 1 end) as email_decided_at__failed,
        count(case when coalesce({{ clean_text('records.marketing_suspended') }}, '') <> '' then 1 end) as marketing_suspended__given,
        count(case when coalesce({{ clean_text('records.marketing_suspended') }}, '') <> '' and {{ to_boolean('records.marketing_suspended') }} is null then 1 end) as marketing_suspended__failed,
        count(case when coalesce({{ clean_text('records.do_not_call') }}, '') <> '' then 1 end) as do_not_call__given,
        count(case when coalesce({{ clean_text('records.do_not_call') }}, '') <> '' and {{ to_boolean('records.do_not_call') }} is null then 1 end) as do_not_call__failed,
        count(case when coalesce({{ clean_text('phone_change.activity_date') }}, '') <> '' then 1 end) as phone_decided_at__given,
        count(case when coalesce({{ clean_text('phone_change.activity_date') }}, '') <> '' and {{ to_timestamp_utc('phone_change.activity_date') }} is null then 1 end) as phone_decided_at__failed
    from records
    left join company_record
        on company_record.connection = records.connection
        and company_record.external_company_id = records.external_company_id
    left join email_change
        on email_change.connection = records.connection
        and email_change.lead_id = records.id
    left join phone_change
        on phone_change.connection = records.connection
        and phone_change.lead_id = records.id
    group by records.connection
), marketo__opportunities as (
    with records as (
        {{ latest(source('raw_marketo', 'opportunities'), key=['marketo_guid'], columns=['marketo_guid', 'external_opportunity_id',
            'external_company_id', 'name', 'stage', 'amount', 'probability', 'close_date', 'is_closed', 'is_won', 'external_sales_person_id',
            'created_at', 'updated_at']) }}
    ),

    main_role_rows as (
        {{ latest_set(source('raw_marketo', 'opportunity_roles'), replaced_by=['lead_id'], key=['lead_id', 'marketo_guid'],
            columns=['lead_id', 'marketo_guid', 'external_opportunity_id', 'is_primary']) }}
    ),

    main_role as (
        select
            connection,
            external_opportunity_id,
            lead_id
        from (
            select
                main_role_rows.connection as connection,
                main_role_rows.external_opportunity_id as external_opportunity_id,
                main_role_rows.lead_id as lead_id,
                row_number() over (
                    partition by main_role_rows.connection, main_role_rows.external_opportunity_id
                    order by case when main_role_rows.is_primary = 'true' then 0 else 1 end nulls last, main_role_rows.marketo_guid nulls last
                ) as place
            from main_role_rows
            where main_role_rows.marketo_guid is not null
        ) as ranked
        where place = 1
    ),

    company_record_rows as (
        {{ latest(source('raw_marketo', 'companies'), key=['id'], columns=['id', 'external_company_id']) }}
    ),

    company_record as (
        select
            connection,
            external_company_id,
            id
        from (
            select
                company_record_rows.connection as connection,
                company_record_rows.external_company_id as external_company_id,
                company_record_rows.id as id,
                row_number() over (
                    partition by company_record_rows.connection, company_record_rows.external_company_id
                    order by company_record_rows.id nulls last
                ) as place
            from company_record_rows
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.amount') }}, '') <> '' then 1 end) as value__given,
        count(case when coalesce({{ clean_text('records.amount') }}, '') <> '' and {{ to_decimal('records.amount', 18, 2) }} is null then 1 end) as value__failed,
        count(case when coalesce({{ clean_text('records.probability') }}, '') <> '' then 1 end) as probability__given,
        count(case when coalesce({{ clean_text('records.probability') }}, '') <> '' and cast({{ to_decimal('records.probability', 9, 6) }} * 0.01 as decimal(9,6)) is null then 1 end) as probability__failed,
        count(case when coalesce({{ clean_text('records.close_date') }}, '') <> '' then 1 end) as close_date__given,
        count(case when coalesce({{ clean_text('records.close_date') }}, '') <> '' and {{ to_date_utc('records.close_date') }} is null then 1 end) as close_date__failed,
        count(case when coalesce({{ clean_text('records.is_closed') }}, '') <> '' then 1 end) as is_closed__given,
        count(case when coalesce({{ clean_text('records.is_closed') }}, '') <> '' and {{ to_boolean('records.is_closed') }} is null then 1 end) as is_closed__failed,
        count(case when coalesce({{ clean_text('records.is_won') }}, '') <> '' then 1 end) as is_won__given,
        count(case when coalesce({{ clean_text('records.is_won') }}, '') <> '' and {{ to_boolean('records.is_won') }} is null then 1 end) as is_won__failed,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' and {{ to_timestamp_utc('records.created_at') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' and {{ to_timestamp_utc('records.updated_at') }} is null then 1 end) as last_updated__failed
    from records
    join main_role
        on main_role.connection = records.connection
        and main_role.external_opportunity_id = records.external_opportunity_id
    left join company_record
        on company_record.connection = records.connection
        and company_record.external_company_id = records.external_company_id
    group by records.connection
), marketo__opportunity_contacts as (
    with opportunity_roles_rows as (
        {{ latest_set(source('raw_marketo', 'opportunity_roles'), replaced_by=['lead_id'], key=['lead_id', 'marketo_guid'],
            columns=['lead_id', 'marketo_guid', 'external_opportunity_id', 'role', 'is_primary']) }}
    ),

    records as (
        select
            opportunity_roles_rows.connection as connection,
            opportunity_roles_rows._synced_at as _synced_at,
            opportunity_roles_rows._deleted as _deleted,
            opportunity_roles_rows._merged_into as _merged_into,
            opportunity_roles_rows.marketo_guid as marketo_guid,
            opportunity_roles_rows.external_opportunity_id as external_opportunity_id,
            opportunity_roles_rows.lead_id as lead_id,
            opportunity_roles_rows.role as role,
            opportunity_roles_rows.is_primary as is_primary
        from opportunity_roles_rows
        where opportunity_roles_rows.marketo_guid is not null
    ),

    opportunity_rows as (
        {{ latest(source('raw_marketo', 'opportunities'), key=['marketo_guid'], columns=['marketo_guid', 'external_opportunity_id']) }}
    ),

    opportunity as (
        select
            connection,
            external_opportunity_id,
            marketo_guid
        from (
            select
                opportunity_rows.connection as connection,
                opportunity_rows.external_opportunity_id as external_opportunity_id,
                opportunity_rows.marketo_guid as marketo_guid,
                row_number() over (
                    partition by opportunity_rows.connection, opportunity_rows.external_opportunity_id
                    order by opportunity_rows.marketo_guid nulls last
                ) as place
            from opportunity_rows
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.is_primary') }}, '') <> '' then 1 end) as is_primary__given,
        count(case when coalesce({{ clean_text('records.is_primary') }}, '') <> '' and {{ to_boolean('records.is_primary') }} is null then 1 end) as is_primary__failed
    from records
    left join opportunity
        on opportunity.connection = records.connection
        and opportunity.external_opportunity_id = records.external_opportunity_id
    group by records.connection
), marketo__companies as (
    with records as (
        {{ latest(source('raw_marketo', 'companies'), key=['id'], columns=['id', 'external_company_id', 'company', 'website', 'industry',
            'main_phone', 'billing_city', 'billing_state', 'billing_country', 'number_of_employees', 'annual_revenue',
            'external_sales_person_id', 'created_at', 'updated_at']) }}
    ),

    lead_rows as (
        {{ latest(source('raw_marketo', 'leads'), key=['id'], columns=['id', 'external_company_id']) }}
    ),

    lead as (
        select
            connection,
            external_company_id
        from (
            select
                lead_rows.connection as connection,
                lead_rows.external_company_id as external_company_id,
                row_number() over (
                    partition by lead_rows.connection, lead_rows.external_company_id
                    order by lead_rows.id nulls last
                ) as place
            from lead_rows
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.number_of_employees') }}, '') <> '' then 1 end) as employees__given,
        count(case when coalesce({{ clean_text('records.number_of_employees') }}, '') <> '' and {{ to_integer('records.number_of_employees') }} is null then 1 end) as employees__failed,
        count(case when coalesce({{ clean_text('records.annual_revenue') }}, '') <> '' then 1 end) as annual_revenue__given,
        count(case when coalesce({{ clean_text('records.annual_revenue') }}, '') <> '' and {{ to_decimal('records.annual_revenue', 18, 2) }} is null then 1 end) as annual_revenue__failed,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' and {{ to_timestamp_utc('records.created_at') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' and {{ to_timestamp_utc('records.updated_at') }} is null then 1 end) as last_updated__failed
    from records
    join lead
        on lead.connection = records.connection
        and lead.external_company_id = records.external_company_id
    group by records.connection
), marketo__programs as (
    with records as (
        {{ latest(source('raw_marketo', 'programs'), key=['id'], columns=['id', 'name', 'type', 'status', 'start_date', 'end_date',
            'created_at', 'updated_at']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.start_date') }}, '') <> '' then 1 end) as start_date__given,
        count(case when coalesce({{ clean_text('records.start_date') }}, '') <> '' and {{ to_date_utc('records.start_date') }} is null then 1 end) as start_date__failed,
        count(case when coalesce({{ clean_text('records.end_date') }}, '') <> '' then 1 end) as end_date__given,
        count(case when coalesce({{ clean_text('records.end_date') }}, '') <> '' and {{ to_date_utc('records.end_date') }} is null then 1 end) as end_date__failed,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' and {{ to_timestamp_utc('records.created_at') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' and {{ to_timestamp_utc('records.updated_at') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
), marketo__smart_campaigns as (
    with records as (
        {{ latest(source('raw_marketo', 'campaigns'), key=['id'], columns=['id', 'name', 'type', 'active', 'program_id', 'created_at',
            'updated_at']) }}
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.active') }}, '') <> '' then 1 end) as is_active__given,
        count(case when coalesce({{ clean_text('records.active') }}, '') <> '' and {{ to_boolean('records.active') }} is null then 1 end) as is_active__failed,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' then 1 end) as created_date__given,
        count(case when coalesce({{ clean_text('records.created_at') }}, '') <> '' and {{ to_timestamp_utc('records.created_at') }} is null then 1 end) as created_date__failed,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.updated_at') }}, '') <> '' and {{ to_timestamp_utc('records.updated_at') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
), marketo__program_members as (
    with activities_rows as (
        {{ latest(source('raw_marketo', 'activities'), key=['marketo_guid'], columns=['marketo_guid', 'activity_type_id', 'activity_date',
            'lead_id', 'primary_attribute_value_id', 'attributes']) }}
    ),

    records as (
        select
            connection,
            _synced_at,
            _deleted,
            _merged_into,
            activity_type_id,
            activity_date,
            marketo_guid,
            lead_id,
            primary_attribute_value_id,
            attributes
        from (
            select
                activities_rows.connection as connection,
                activities_rows._synced_at as _synced_at,
                activities_rows._deleted as _deleted,
                activities_rows._merged_into as _merged_into,
                activities_rows.activity_type_id as activity_type_id,
                activities_rows.activity_date as activity_date,
                activities_rows.marketo_guid as marketo_guid,
                activities_rows.lead_id as lead_id,
                activities_rows.primary_attribute_value_id as primary_attribute_value_id,
                activities_rows.attributes as attributes,
                row_number() over (
                    partition by activities_rows.connection, activities_rows.lead_id, activities_rows.primary_attribute_value_id
                    order by {{ to_timestamp_utc('activities_rows.activity_date') }} desc nulls last, activities_rows.marketo_guid desc nulls last
                ) as place
            from activities_rows
            where activities_rows.activity_type_id = '104'
        ) as ranked
        where place = 1
    )

    select
        records.connection as connection,
        count(case when coalesce({{ clean_text('records.attributes') }}, '') <> '' then 1 end) as responded__given,
        count(case when coalesce({{ clean_text('records.attributes') }}, '') <> '' and cast({{ to_boolean(json_attribute('records.attributes', 'Success')) }} as boolean) is null then 1 end) as responded__failed,
        count(case when coalesce({{ clean_text('records.activity_date') }}, '') <> '' then 1 end) as last_updated__given,
        count(case when coalesce({{ clean_text('records.activity_date') }}, '') <> '' and {{ to_timestamp_utc('records.activity_date') }} is null then 1 end) as last_updated__failed
    from records
    group by records.connection
)
select
    connection,
    'salesforce' as source_system,
    'contact' as raw_table,
    'LeadScore__c, Lead_Score__c, pi__score__c, mkto71_Lead_Score__c' as raw_field,
    'contacts' as entity,
    'lead_score' as field,
    lead_score__given as given_values,
    lead_score__failed as failed_values
from salesforce__contacts
union all
select
    connection,
    'salesforce' as source_system,
    'contact' as raw_table,
    'CreatedDate' as raw_field,
    'contacts' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from salesforce__contacts
union all
select
    connection,
    'salesforce' as source_system,
    'contact' as raw_table,
    'LastModifiedDate' as raw_field,
    'contacts' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from salesforce__contacts
union all
select
    connection,
    'salesforce' as source_system,
    'contact' as raw_table,
    'HasOptedOutOfEmail' as raw_field,
    'contacts' as entity,
    'do_not_email' as field,
    do_not_email__given as given_values,
    do_not_email__failed as failed_values
from salesforce__contacts
union all
select
    connection,
    'salesforce' as source_system,
    'contact' as raw_table,
    'DoNotCall' as raw_field,
    'contacts' as entity,
    'do_not_call' as field,
    do_not_call__given as given_values,
    do_not_call__failed as failed_values
from salesforce__contacts
union all
select
    connection,
    'salesforce' as source_system,
    'lead' as raw_table,
    'LeadScore__c, Lead_Score__c, pi__score__c, mkto71_Lead_Score__c' as raw_field,
    'contacts' as entity,
    'lead_score' as field,
    lead_score__given as given_values,
    lead_score__failed as failed_values
from salesforce__leads
union all
select
    connection,
    'salesforce' as source_system,
    'lead' as raw_table,
    'CreatedDate' as raw_field,
    'contacts' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from salesforce__leads
union all
select
    connection,
    'salesforce' as source_system,
    'lead' as raw_table,
    'LastModifiedDate' as raw_field,
    'contacts' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from salesforce__leads
union all
select
    connection,
    'salesforce' as source_system,
    'lead' as raw_table,
    'HasOptedOutOfEmail' as raw_field,
    'contacts' as entity,
    'do_not_email' as field,
    do_not_email__given as given_values,
    do_not_email__failed as failed_values
from salesforce__leads
union all
select
    connection,
    'salesforce' as source_system,
    'lead' as raw_table,
    'DoNotCall' as raw_field,
    'contacts' as entity,
    'do_not_call' as field,
    do_not_call__given as given_values,
    do_not_call__failed as failed_values
from salesforce__leads
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'Amount' as raw_field,
    'opportunities' as entity,
    'value' as field,
    value__given as given_values,
    value__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'Probability' as raw_field,
    'opportunities' as entity,
    'probability' as field,
    probability__given as given_values,
    probability__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'CloseDate' as raw_field,
    'opportunities' as entity,
    'close_date' as field,
    close_date__given as given_values,
    close_date__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'IsClosed' as raw_field,
    'opportunities' as entity,
    'is_closed' as field,
    is_closed__given as given_values,
    is_closed__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'IsWon' as raw_field,
    'opportunities' as entity,
    'is_won' as field,
    is_won__given as given_values,
    is_won__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'CreatedDate' as raw_field,
    'opportunities' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'LastModifiedDate' as raw_field,
    'opportunities' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from salesforce__opportunities
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity_contact_role' as raw_table,
    'IsPrimary' as raw_field,
    'opportunity_contacts' as entity,
    'is_primary' as field,
    is_primary__given as given_values,
    is_primary__failed as failed_values
from salesforce__opportunity_contacts
union all
select
    connection,
    'salesforce' as source_system,
    'account' as raw_table,
    'NumberOfEmployees' as raw_field,
    'companies' as entity,
    'employees' as field,
    employees__given as given_values,
    employees__failed as failed_values
from salesforce__companies
union all
select
    connection,
    'salesforce' as source_system,
    'account' as raw_table,
    'AnnualRevenue' as raw_field,
    'companies' as entity,
    'annual_revenue' as field,
    annual_revenue__given as given_values,
    annual_revenue__failed as failed_values
from salesforce__companies
union all
select
    connection,
    'salesforce' as source_system,
    'account' as raw_table,
    'CreatedDate' as raw_field,
    'companies' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from salesforce__companies
union all
select
    connection,
    'salesforce' as source_system,
    'account' as raw_table,
    'LastModifiedDate' as raw_field,
    'companies' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from salesforce__companies
union all
select
    connection,
    'salesforce' as source_system,
    'campaign' as raw_table,
    'IsActive' as raw_field,
    'campaigns' as entity,
    'is_active' as field,
    is_active__given as given_values,
    is_active__failed as failed_values
from salesforce__campaigns
union all
select
    connection,
    'salesforce' as source_system,
    'campaign' as raw_table,
    'StartDate' as raw_field,
    'campaigns' as entity,
    'start_date' as field,
    start_date__given as given_values,
    start_date__failed as failed_values
from salesforce__campaigns
union all
select
    connection,
    'salesforce' as source_system,
    'campaign' as raw_table,
    'EndDate' as raw_field,
    'campaigns' as entity,
    'end_date' as field,
    end_date__given as given_values,
    end_date__failed as failed_values
from salesforce__campaigns
union all
select
    connection,
    'salesforce' as source_system,
    'campaign' as raw_table,
    'CreatedDate' as raw_field,
    'campaigns' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from salesforce__campaigns
union all
select
    connection,
    'salesforce' as source_system,
    'campaign' as raw_table,
    'LastModifiedDate' as raw_field,
    'campaigns' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from salesforce__campaigns
union all
select
    connection,
    'salesforce' as source_system,
    'campaign_member' as raw_table,
    'HasResponded' as raw_field,
    'campaign_members' as entity,
    'responded' as field,
    responded__given as given_values,
    responded__failed as failed_values
from salesforce__campaign_members
union all
select
    connection,
    'salesforce' as source_system,
    'campaign_member' as raw_table,
    'CreatedDate' as raw_field,
    'campaign_members' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from salesforce__campaign_members
union all
select
    connection,
    'salesforce' as source_system,
    'campaign_member' as raw_table,
    'LastModifiedDate' as raw_field,
    'campaign_members' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from salesforce__campaign_members
union all
select
    connection,
    'hubspot' as source_system,
    'contacts' as raw_table,
    'hs_lead_score, hubspotscore, hs_predictivecontactscore_v2, hs_predictivecontactscore' as raw_field,
    'contacts' as entity,
    'lead_score' as field,
    lead_score__given as given_values,
    lead_score__failed as failed_values
from hubspot__contacts
union all
select
    connection,
    'hubspot' as source_system,
    'contacts' as raw_table,
    'createdate' as raw_field,
    'contacts' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from hubspot__contacts
union all
select
    connection,
    'hubspot' as source_system,
    'contacts' as raw_table,
    'lastmodifieddate' as raw_field,
    'contacts' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from hubspot__contacts
union all
select
    connection,
    'hubspot' as source_system,
    'contacts' as raw_table,
    'hs_email_optout' as raw_field,
    'contacts' as entity,
    'do_not_email' as field,
    do_not_email__given as given_values,
    do_not_email__failed as failed_values
from hubspot__contacts
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'amount' as raw_field,
    'opportunities' as entity,
    'value' as field,
    value__given as given_values,
    value__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'hs_deal_stage_probability, stage.probability' as raw_field,
    'opportunities' as entity,
    'probability' as field,
    probability__given as given_values,
    probability__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'closedate' as raw_field,
    'opportunities' as entity,
    'close_date' as field,
    close_date__given as given_values,
    close_date__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'hs_is_closed, stage.is_closed' as raw_field,
    'opportunities' as entity,
    'is_closed' as field,
    is_closed__given as given_values,
    is_closed__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'hs_is_closed_won, stage.is_closed, stage.probability' as raw_field,
    'opportunities' as entity,
    'is_won' as field,
    is_won__given as given_values,
    is_won__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'createdate' as raw_field,
    'opportunities' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'hs_lastmodifieddate' as raw_field,
    'opportunities' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from hubspot__deals
union all
select
    connection,
    'hubspot' as source_system,
    'deal_contact_associations' as raw_table,
    'label' as raw_field,
    'opportunity_contacts' as entity,
    'is_primary' as field,
    is_primary__given as given_values,
    is_primary__failed as failed_values
from hubspot__deal_contacts
union all
select
    connection,
    'hubspot' as source_system,
    'companies' as raw_table,
    'numberofemployees' as raw_field,
    'companies' as entity,
    'employees' as field,
    employees__given as given_values,
    employees__failed as failed_values
from hubspot__companies
union all
select
    connection,
    'hubspot' as source_system,
    'companies' as raw_table,
    'annualrevenue' as raw_field,
    'companies' as entity,
    'annual_revenue' as field,
    annual_revenue__given as given_values,
    annual_revenue__failed as failed_values
from hubspot__companies
union all
select
    connection,
    'hubspot' as source_system,
    'companies' as raw_table,
    'createdate' as raw_field,
    'companies' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from hubspot__companies
union all
select
    connection,
    'hubspot' as source_system,
    'companies' as raw_table,
    'hs_lastmodifieddate' as raw_field,
    'companies' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from hubspot__companies
union all
select
    connection,
    'hubspot' as source_system,
    'lifecycle_stage_history' as raw_table,
    'timestamp' as raw_field,
    'lifecycle_stage_changes' as entity,
    'changed_at' as field,
    changed_at__given as given_values,
    changed_at__failed as failed_values
from hubspot__lifecycle_stage_changes
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'leadScore' as raw_field,
    'contacts' as entity,
    'lead_score' as field,
    lead_score__given as given_values,
    lead_score__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'createdAt' as raw_field,
    'contacts' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'updatedAt' as raw_field,
    'contacts' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'unsubscribed' as raw_field,
    'contacts' as entity,
    'do_not_email' as field,
    do_not_email__given as given_values,
    do_not_email__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'email_change.activityDate' as raw_field,
    'contacts' as entity,
    'email_decided_at' as field,
    email_decided_at__given as given_values,
    email_decided_at__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'marketingSuspended' as raw_field,
    'contacts' as entity,
    'marketing_suspended' as field,
    marketing_suspended__given as given_values,
    marketing_suspended__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'doNotCall' as raw_field,
    'contacts' as entity,
    'do_not_call' as field,
    do_not_call__given as given_values,
    do_not_call__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'phone_change.activityDate' as raw_field,
    'contacts' as entity,
    'phone_decided_at' as field,
    phone_decided_at__given as given_values,
    phone_decided_at__failed as failed_values
from marketo__leads
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'amount' as raw_field,
    'opportunities' as entity,
    'value' as field,
    value__given as given_values,
    value__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'probability' as raw_field,
    'opportunities' as entity,
    'probability' as field,
    probability__given as given_values,
    probability__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'closeDate' as raw_field,
    'opportunities' as entity,
    'close_date' as field,
    close_date__given as given_values,
    close_date__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'isClosed' as raw_field,
    'opportunities' as entity,
    'is_closed' as field,
    is_closed__given as given_values,
    is_closed__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'isWon' as raw_field,
    'opportunities' as entity,
    'is_won' as field,
    is_won__given as given_values,
    is_won__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'createdAt' as raw_field,
    'opportunities' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'updatedAt' as raw_field,
    'opportunities' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from marketo__opportunities
union all
select
    connection,
    'marketo' as source_system,
    'opportunity_roles' as raw_table,
    'isPrimary' as raw_field,
    'opportunity_contacts' as entity,
    'is_primary' as field,
    is_primary__given as given_values,
    is_primary__failed as failed_values
from marketo__opportunity_contacts
union all
select
    connection,
    'marketo' as source_system,
    'companies' as raw_table,
    'numberOfEmployees' as raw_field,
    'companies' as entity,
    'employees' as field,
    employees__given as given_values,
    employees__failed as failed_values
from marketo__companies
union all
select
    connection,
    'marketo' as source_system,
    'companies' as raw_table,
    'annualRevenue' as raw_field,
    'companies' as entity,
    'annual_revenue' as field,
    annual_revenue__given as given_values,
    annual_revenue__failed as failed_values
from marketo__companies
union all
select
    connection,
    'marketo' as source_system,
    'companies' as raw_table,
    'createdAt' as raw_field,
    'companies' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from marketo__companies
union all
select
    connection,
    'marketo' as source_system,
    'companies' as raw_table,
    'updatedAt' as raw_field,
    'companies' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from marketo__companies
union all
select
    connection,
    'marketo' as source_system,
    'programs' as raw_table,
    'startDate' as raw_field,
    'campaigns' as entity,
    'start_date' as field,
    start_date__given as given_values,
    start_date__failed as failed_values
from marketo__programs
union all
select
    connection,
    'marketo' as source_system,
    'programs' as raw_table,
    'endDate' as raw_field,
    'campaigns' as entity,
    'end_date' as field,
    end_date__given as given_values,
    end_date__failed as failed_values
from marketo__programs
union all
select
    connection,
    'marketo' as source_system,
    'programs' as raw_table,
    'createdAt' as raw_field,
    'campaigns' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from marketo__programs
union all
select
    connection,
    'marketo' as source_system,
    'programs' as raw_table,
    'updatedAt' as raw_field,
    'campaigns' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from marketo__programs
union all
select
    connection,
    'marketo' as source_system,
    'campaigns' as raw_table,
    'active' as raw_field,
    'campaigns' as entity,
    'is_active' as field,
    is_active__given as given_values,
    is_active__failed as failed_values
from marketo__smart_campaigns
union all
select
    connection,
    'marketo' as source_system,
    'campaigns' as raw_table,
    'createdAt' as raw_field,
    'campaigns' as entity,
    'created_date' as field,
    created_date__given as given_values,
    created_date__failed as failed_values
from marketo__smart_campaigns
union all
select
    connection,
    'marketo' as source_system,
    'campaigns' as raw_table,
    'updatedAt' as raw_field,
    'campaigns' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from marketo__smart_campaigns
union all
select
    connection,
    'marketo' as source_system,
    'activities' as raw_table,
    'attributes' as raw_field,
    'campaign_members' as entity,
    'responded' as field,
    responded__given as given_values,
    responded__failed as failed_values
from marketo__program_members
union all
select
    connection,
    'marketo' as source_system,
    'activities' as raw_table,
    'activityDate' as raw_field,
    'campaign_members' as entity,
    'last_updated' as field,
    last_updated__given as given_values,
    last_updated__failed as failed_values
from marketo__program_members
