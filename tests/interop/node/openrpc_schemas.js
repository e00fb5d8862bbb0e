"use strict";

// The schema of OpenRPC documents, and that of the JSON Schemas inside them.

const { openrpcDocument } = require("@open-rpc/meta-schema");
const schemas = require("@json-schema-tools/meta-schema");

console.log(JSON.stringify({ document: openrpcDocument, schema: schemas.default || schemas }));
