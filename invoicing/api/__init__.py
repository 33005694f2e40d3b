"""Invoices, payments and billing over HTTP."""
