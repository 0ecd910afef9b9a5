"""The test kit: private database servers, Magento's tables, and a shop that writes to them as Magento does.

Used by the tests, the demo's recorder and the benchmarks. Standard library and PyMySQL only.
"""
