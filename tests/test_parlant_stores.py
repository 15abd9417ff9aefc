"""Parlant's own stores on our DocumentDatabase."""

import asyncio
import logging
import random
import subprocess
import sys
from collections import defaultdict
from typing import Any

import pytest
from parlant.adapters.db.transient import TransientDocumentDatabase
from parlant.core.common import ItemNotFoundError
from parlant.core.context_variables import ContextVariableDocumentStore
from parlant.core.customers import CustomerDocumentStore, CustomerStore
from parlant.core.sessions import Event, EventKind, EventSource, SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.adapters.waiting import run
from parlant_store.exceptions import DuplicateDocument
from parlant_store.models import Document
from parlant_store.types import PROMOTED
from tests.parlant_life import LIVES, Tale, open_store
from tests.test_processes import database_url as database_url
from tests.test_processes import environment_of_a_process, finish
