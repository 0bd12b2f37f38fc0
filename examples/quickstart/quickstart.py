from wispy import RPCWebApp


class Sample(object):
    a = 1
    """sample attribute which can be get/set/deleted from javascript"""
    
    tracked_channel_values = {
        "a": 1,
        "b": "test",
        "c": [2,3],
        "d": {"e": 5}
    }
    
    def test_sum(self, a, b):
        """test function which can be called from javascript"""
        print(f"summing {a} + {b}")
        return a + b

sample = Sample()

rpc_web_app = RPCWebApp(sample=sample)     
rpc_web_app.run()
