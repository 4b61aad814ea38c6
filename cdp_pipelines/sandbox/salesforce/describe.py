"""The describe answers of the org's objects, with the keys of a recorded org."""

from __future__ import annotations

from typing import Any

from cdp_pipelines.sandbox.salesforce.schema import (
    CHILD_RELATIONSHIPS,
    COMPOUND_TYPES,
    FORMULAS,
    PICKLIST_DEFAULTS,
    FieldSpec,
    ObjectSpec,
)

Schema = dict[str, ObjectSpec]
_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "double": "xsd:double", "currency": "xsd:double",
    "percent": "xsd:double", "int": "xsd:int", "date": "xsd:date", "datetime": "xsd:dateTime", "address": "urn:address",
}  # fmt: skip
_NOT_GROUPABLE = ("double", "currency", "percent", "datetime", "address")
_MASTER = "012000000000000AAA"
# What no rule gives, field by field, as recorded: field-level security, and what may be grouped although it cannot be filtered.
_OPEN_TO_ALL = {"RecordTypeId", "FirstName", "Salutation", "EmailBouncedReason", "EmailBouncedDate", "IndividualId", "ForecastCategoryName",
                "Pricebook2Id", "Opportunity.ContactId", "Role"}  # fmt: skip
_RESTRICTABLE = {"IsPrivate", "ExpectedRevenue"}
_GROUPABLE = {"ChannelProgramName", "ChannelProgramLevelName", "HasOpenActivity", "HasOverdueTask"}
_PREFILTERABLE = {"ConvertedAccountId", "ConvertedContactId", "ConvertedOpportunityId", "LastAmountChangedHistoryId",
                  "LastCloseDateChangedHistoryId"}  # fmt: skip
_GLOBAL_KEYS = (
    "activateable", "associateEntityType", "associateParentEntity", "createable", "custom", "customSetting", "deepCloneable", "deletable",
    "deprecatedAndHidden", "feedEnabled", "hasSubtypes", "isInterface", "isSubtype", "keyPrefix", "label", "labelPlural", "layoutable",
    "mergeable", "mruEnabled", "name", "queryable", "replicateable", "retrieveable", "searchable", "triggerable", "undeletable", "updateable",
    "urls",
)  # fmt: skip


def describe_global(schema: Schema, version: str) -> dict[str, Any]:
    """The answer of `/sobjects`."""
    heads = [_head(spec, version) for spec in schema.values()]
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [{k: head[k] for k in _GLOBAL_KEYS} for head in heads]}


def describe_basic(spec: ObjectSpec, version: str) -> dict[str, Any]:
    """The answer of `/sobjects/X`; nobody's recently seen records are kept."""
    head = _head(spec, version)
    return {"objectDescribe": {k: head[k] for k in _GLOBAL_KEYS}, "recentItems": []}


def describe(schema: Schema, spec: ObjectSpec, version: str) -> dict[str, Any]:
    """The answer of `/sobjects/X/describe`."""
    children = []
    for child in schema.values():
        for field in child.fields.values():
            if spec.name in field.targets and field.name != "MasterRecordId":
                name, cascades = CHILD_RELATIONSHIPS.get(f"{child.name}.{field.name}", (None, False))
                children.append({
                    "cascadeDelete": cascades, "childSObject": child.name, "deprecatedAndHidden": False, "field": field.name,
                    "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": name,
                    "restrictedDelete": child.name == "User" and field.name == "ContactId",
                })  # fmt: skip
    return {**_head(spec, version), "childRelationships": children, "fields": [_describe_field(spec, f) for f in spec.fields.values()]}


def _head(spec: ObjectSpec, version: str) -> dict[str, Any]:
    base = f"/services/data/v{version}/sobjects/{spec.name}"
    urls = {"compactLayouts": f"{base}/describe/compactLayouts", "rowTemplate": f"{base}/{{ID}}", "uiDetailTemplate": "/{ID}",
            "uiEditTemplate": "/{ID}/e", "describe": f"{base}/describe", "uiNewRecord": f"/{spec.prefix}/e", "quickActions": f"{base}/quickActions",
            "layouts": f"{base}/describe/layouts", "sobject": base}  # fmt: skip
    if spec.searchable:
        urls |= {"approvalLayouts": f"{base}/describe/approvalLayouts", "listviews": f"{base}/listviews"}
    if spec.name in ("Account", "OpportunityContactRole"):
        urls["defaultValues"] = f"{base}/defaultValues?recordTypeId&fields"
    scopes = [{"label": f"All {spec.plural.lower()}", "name": "everything"}]
    if spec.searchable:
        scopes.append({"label": f"My {spec.plural.lower()}", "name": "mine"})
    master = {"active": True, "available": True, "defaultRecordTypeMapping": True, "developerName": "Master", "master": True, "name": "Master",
              "recordTypeId": _MASTER, "urls": {"layout": f"{base}/describe/layouts/{_MASTER}"}}  # fmt: skip
    return {
        "actionOverrides": [], "activateable": False, "associateEntityType": None, "associateParentEntity": None, "childRelationships": [],
        "compactLayoutable": True, "createable": True, "custom": False, "customSetting": False, "deepCloneable": spec.name == "Opportunity",
        "defaultImplementation": None, "deletable": spec.deletable, "deprecatedAndHidden": False, "extendedBy": None,
        "extendsInterfaces": None, "feedEnabled": spec.searchable, "fields": [], "hasSubtypes": False, "implementedBy": None,
        "implementsInterfaces": None, "isInterface": False, "isSubtype": False, "keyPrefix": spec.prefix, "label": spec.label,
        "labelPlural": spec.plural, "layoutable": True, "listviewable": None, "lookupLayoutable": None, "mergeable": spec.mergeable,
        "mruEnabled": spec.searchable, "name": spec.name, "namedLayoutInfos": [], "networkScopeFieldName": None, "queryable": True,
        "recordTypeInfos": [master] if spec.searchable else [], "replicateable": True, "retrieveable": True,
        "searchLayoutable": spec.searchable, "searchable": spec.searchable, "sobjectDescribeOption": "FULL", "supportedScopes": scopes,
        "triggerable": True, "undeletable": spec.undeletable, "updateable": True, "urls": urls,
    }  # fmt: skip


def _describe_field(spec: ObjectSpec, field: FieldSpec) -> dict[str, Any]:
    flags, type_ = field.flags, field.type
    names = {field.name, f"{spec.name}.{field.name}"}
    groupable = field.filterable and type_ not in _NOT_GROUPABLE and "x" not in flags
    is_name = field.name == "Name" and spec.name != "CampaignMember"
    person = spec.name in ("Contact", "Lead", "User")
    extra = {"textarea": "plaintextarea"}.get(type_, "imageurl" if field.name == "PhotoUrl" else None)
    if field.compound == "Name" or is_name:
        extra = "personname" if person else "switchablepersonname" if spec.name == "Account" else None
    usual = "n" in flags and (bool(set("cux") & set(flags)) or type_ == "address")
    many = len(field.targets) > 1
    prefilterable = type_ == "reference" and "n" in flags and "c" in flags and not names & {"RecordTypeId", "Opportunity.ContactId"}
    return {
        "aggregatable": (field.sortable and type_ != "boolean") or field.name.startswith("ChannelProgram"), "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": field.size if type_ in ("id", "reference") or field.name == "Fiscal" else 0 if type_ == "int" else field.size * 3,
        "calculated": "x" in flags, "calculatedFormula": FORMULAS.get(f"{spec.name}.{field.name}"), "cascadeDelete": False,
        "caseSensitive": False, "compoundFieldName": field.compound, "controllerName": None, "createable": "c" in flags,
        "custom": field.custom, "defaultValue": PICKLIST_DEFAULTS.get(f"{spec.name}.{field.name}", False if type_ == "boolean" else None),
        "defaultValueFormula": None, "defaultedOnCreate": "d" in flags, "dependentPicklist": False, "deprecatedAndHidden": False,
        "digits": field.size if type_ == "int" else 0, "displayLocationInDecimal": False, "encrypted": False, "externalId": "e" in flags,
        "extraTypeInfo": extra, "filterable": field.filterable, "filteredLookupInfo": None, "formulaTreatNullNumberAsZero": False,
        "groupable": groupable or field.name in _GROUPABLE, "highScaleNumber": False, "htmlFormatted": False, "idLookup": "i" in flags,
        "inlineHelpText": None, "label": field.label, "length": 0 if type_ == "int" else field.size, "mask": None, "maskType": None,
        "name": field.name, "nameField": is_name, "namePointing": many, "nillable": "n" in flags,
        "permissionable": field.name in _RESTRICTABLE or (usual and not names & _OPEN_TO_ALL), "picklistValues": _picklist(spec, field),
        "polymorphicForeignKey": many, "precision": field.precision, "queryByDistance": type_ in COMPOUND_TYPES,
        "referenceTargetField": None, "referenceTo": list(field.targets), "relationshipName": field.relationship, "relationshipOrder": None,
        "restrictedDelete": False, "restrictedPicklist": "r" in flags, "scale": field.scale,
        "searchPrefilterable": prefilterable or field.name in _PREFILTERABLE, "soapType": _SOAP.get(type_, "xsd:string"),
        "sortable": field.sortable, "type": type_, "unique": "q" in flags, "updateable": "u" in flags, "writeRequiresMasterRead": False,
    }  # fmt: skip


def _picklist(spec: ObjectSpec, field: FieldSpec) -> list[dict[str, Any]]:
    default = PICKLIST_DEFAULTS.get(f"{spec.name}.{field.name}")
    return [{"active": True, "defaultValue": value == default, "label": label, "validFor": None, "value": value}
            for value, label in spec.picklist(field)]  # fmt: skip
