"""HubSpot's CRM API of version 2026-09 over an account in memory.

From the core to the edge:

- ``types``, ``behaviour``, ``values``, ``standard``: names, switches, rules of values and the content of a new account;
- ``properties``, ``pipelines``, ``records``, ``associations``: what the account holds;
- ``inputs``, ``conflicts``, ``writes``, ``merging``, ``search``: what a call does to it;
- ``account``, ``people``: all of it together, and what people do by hand;
- ``wire``: JSON of the answers;
- ``gate``, ``quota``, ``faults``, ``watch``, ``exchanges``: what every call passes;
- ``paths``, ``routes_*``, ``app``: HTTP.
"""
