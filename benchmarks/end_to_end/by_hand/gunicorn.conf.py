"""As the journal's: two processes of four threads."""

import os

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
workers = 2
threads = 4
proc_name = "by-hand"
control_socket_disable = True
