#!/usr/bin/env node
exports = () => "s";
