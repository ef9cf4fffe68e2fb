def main(): print("soon")
