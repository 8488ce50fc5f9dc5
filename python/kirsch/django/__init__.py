"""Kirsch for Django: with ``kirsch.django`` in ``INSTALLED_APPS``, ``manage.py runkirsch`` serves."""
