from baytos.claro import BaytClient

client = BaytClient(api_key="your_api_key_here")  # Not recommended
