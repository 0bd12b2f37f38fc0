"""Where the load balancers of this machine are; None: there is none."""

import os
import shutil

# Debian keeps them where only an administrator's PATH leads.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

HAPROXY = shutil.which("haproxy", path=_PATH)
NGINX = shutil.which("nginx", path=_PATH)
