{
const KEYS={
 "rsaPkcs1": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAkejJNH35Spp4BtEJHsoO6V+PeJiDVSX4kt8UID7FSWvZY7lO\nmi4VczsDwNLB973RCZET9zWAH1S5Opya1QeZ7BtIv9CATXnGyjBag31BlxhJAmys\nC8La283AjN4/WvpoE4Awfkx3Bnwt3VnLGxC5oRktAdH47EGVBrQBloCY+HkXauxw\nB/ZaRQcGMny7Isw3dpnV/toW9SHGEtmd+fO/Mg5oEgBqY80hn4aDYkyr42mbWdjF\nxAhWTpCk+FGV7HiBzA50L9GNUt0Cu7oVKiyqYnSO9fWKomQFtL7BpgVggkayM9Nb\nVUBG9lSHhl8njBKONsuxWCHJX0d3xeggERc7+wIDAQABAoIBADu4Cu4Up11tBrZH\nhVOYQO0swxSJW6uUnH5ElsCx4F6yKSpDVJQPS5E7tMgNmv0ysCWZvxG90IBCVYPT\nSB3r/AhijG6RwIm1T3M+wjUyJY/ZjTxUTUCNErXHK0mcx1KNzd45Z9+xnT/GwKDp\n2RLtUATLQJwPnDHaj8vMDiBS5wk/LGzlow6SVoGbsFgXK2Krtr2vA2G1ndYbjUe+\nWJ6jTmiDGYYZ29G1VlG7Om72l8R91JuwMHK14+1SlN2FSakXZfbMlEa0Vy1nNW0s\naBWT5DPaYwAajKLXdpqyu8ppaUxF/zYsNlbE6tR5VVVqrkcGIF9duz82K5mhMNH7\nHIb9qFECgYEAwVPk3f2Rxb/WG1Tj8sqwzYb0TQenAAS2GsH6K1YItR8/YxWKpHhO\nWNOCbfXLh+/RSebMIkKul/MV2bCZkI80tdcMzwyUnr1QC0mkPwQcuJfTRZU1t6ly\n8IEWeQxwaxuwIQdbBbL13FJ0dN3WAoYjVtVbL3N5sfpwH2Rmhrsl5qsCgYEAwTWt\n2o/+Zxn82e/YNOSVFa3Vnc1zLlflczbXOiGWdgy+U7AScPgidiMG5v7wyYXHC0N8\nElWcz9NLF43E9fFMmuxtEy43lXEuF7R+Pnac3xLbcFdDIZOoDbtvTVFniFTlUYdf\nEl+q0Xi7DJ1cFg5y0B7sKB1S+eaGecmdv5/vP/ECgYAMl9dnsnXFaNqciyoSDav4\np1rQjbgOI0Bte8c8/Wyxx6hMXwHZ9tA7rwNnAETSxQdgBf20GZ3f3gDFXmCSbxGi\n6rA16H7h3DkTkyd0x2LLj3A+rxqBrTMEgZQiLHJCN9qAPEdslpy3TlOxrSWcono4\n1MsMyzvZIRQep16aViSA4wKBgQCNtZViLSLm9ASkxGnLwawnTmzTZREJ+KXuL1cE\n6AW3Z/lg4E9mVFjSVTaGzo5FAL3Q4RprSCfPtqXpDK5dxTHun2IRI2DZVz37XQML\nRWwhoW8Zoqc2RVqJV+R2zTImqD3Z4nQ0wb5EDU0EH5afBtHnHAcSFQ/7Ar23Lc1p\n8yBDwQKBgBIMHnl1wmP5OjVdWwmuCBQHevMeyFwNj4wT6jD/Zfib8OBaRTH+bimr\ndOXpcfaVGkDeW01BTJuaY6VRlBZQjSU64mDprVTAPY+Mz4T9Q9qhg3TvkmrqNsQE\n2K61V56n1k1qBzttYEpQS+CDVFdUdQyfmsQzsBIXsiDbMqJXnYZR\n-----END RSA PRIVATE KEY-----\n",
 "rsaPkcs8": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCR6Mk0fflKmngG\n0Qkeyg7pX494mINVJfiS3xQgPsVJa9ljuU6aLhVzOwPA0sH3vdEJkRP3NYAfVLk6\nnJrVB5nsG0i/0IBNecbKMFqDfUGXGEkCbKwLwtrbzcCM3j9a+mgTgDB+THcGfC3d\nWcsbELmhGS0B0fjsQZUGtAGWgJj4eRdq7HAH9lpFBwYyfLsizDd2mdX+2hb1IcYS\n2Z35878yDmgSAGpjzSGfhoNiTKvjaZtZ2MXECFZOkKT4UZXseIHMDnQv0Y1S3QK7\nuhUqLKpidI719YqiZAW0vsGmBWCCRrIz01tVQEb2VIeGXyeMEo42y7FYIclfR3fF\n6CARFzv7AgMBAAECggEAO7gK7hSnXW0GtkeFU5hA7SzDFIlbq5ScfkSWwLHgXrIp\nKkNUlA9LkTu0yA2a/TKwJZm/Eb3QgEJVg9NIHev8CGKMbpHAibVPcz7CNTIlj9mN\nPFRNQI0StccrSZzHUo3N3jln37GdP8bAoOnZEu1QBMtAnA+cMdqPy8wOIFLnCT8s\nbOWjDpJWgZuwWBcrYqu2va8DYbWd1huNR75YnqNOaIMZhhnb0bVWUbs6bvaXxH3U\nm7AwcrXj7VKU3YVJqRdl9syURrRXLWc1bSxoFZPkM9pjABqMotd2mrK7ymlpTEX/\nNiw2VsTq1HlVVWquRwYgX127PzYrmaEw0fschv2oUQKBgQDBU+Td/ZHFv9YbVOPy\nyrDNhvRNB6cABLYawforVgi1Hz9jFYqkeE5Y04Jt9cuH79FJ5swiQq6X8xXZsJmQ\njzS11wzPDJSevVALSaQ/BBy4l9NFlTW3qXLwgRZ5DHBrG7AhB1sFsvXcUnR03dYC\nhiNW1Vsvc3mx+nAfZGaGuyXmqwKBgQDBNa3aj/5nGfzZ79g05JUVrdWdzXMuV+Vz\nNtc6IZZ2DL5TsBJw+CJ2Iwbm/vDJhccLQ3wSVZzP00sXjcT18Uya7G0TLjeVcS4X\ntH4+dpzfEttwV0Mhk6gNu29NUWeIVOVRh18SX6rReLsMnVwWDnLQHuwoHVL55oZ5\nyZ2/n+8/8QKBgAyX12eydcVo2pyLKhINq/inWtCNuA4jQG17xzz9bLHHqExfAdn2\n0DuvA2cARNLFB2AF/bQZnd/eAMVeYJJvEaLqsDXofuHcOROTJ3THYsuPcD6vGoGt\nMwSBlCIsckI32oA8R2yWnLdOU7GtJZyiejjUywzLO9khFB6nXppWJIDjAoGBAI21\nlWItIub0BKTEacvBrCdObNNlEQn4pe4vVwToBbdn+WDgT2ZUWNJVNobOjkUAvdDh\nGmtIJ8+2pekMrl3FMe6fYhEjYNlXPftdAwtFbCGhbxmipzZFWolX5HbNMiaoPdni\ndDTBvkQNTQQflp8G0eccBxIVD/sCvbctzWnzIEPBAoGAEgweeXXCY/k6NV1bCa4I\nFAd68x7IXA2PjBPqMP9l+Jvw4FpFMf5uKat05elx9pUaQN5bTUFMm5pjpVGUFlCN\nJTriYOmtVMA9j4zPhP1D2qGDdO+Sauo2xATYrrVXnqfWTWoHO21gSlBL4INUV1R1\nDJ+axDOwEheyINsyoledhlE=\n-----END PRIVATE KEY-----\n",
 "rsaPublicPkcs1": "-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEAkejJNH35Spp4BtEJHsoO6V+PeJiDVSX4kt8UID7FSWvZY7lOmi4V\nczsDwNLB973RCZET9zWAH1S5Opya1QeZ7BtIv9CATXnGyjBag31BlxhJAmysC8La\n283AjN4/WvpoE4Awfkx3Bnwt3VnLGxC5oRktAdH47EGVBrQBloCY+HkXauxwB/Za\nRQcGMny7Isw3dpnV/toW9SHGEtmd+fO/Mg5oEgBqY80hn4aDYkyr42mbWdjFxAhW\nTpCk+FGV7HiBzA50L9GNUt0Cu7oVKiyqYnSO9fWKomQFtL7BpgVggkayM9NbVUBG\n9lSHhl8njBKONsuxWCHJX0d3xeggERc7+wIDAQAB\n-----END RSA PUBLIC KEY-----\n",
 "rsaPublic": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAkejJNH35Spp4BtEJHsoO\n6V+PeJiDVSX4kt8UID7FSWvZY7lOmi4VczsDwNLB973RCZET9zWAH1S5Opya1QeZ\n7BtIv9CATXnGyjBag31BlxhJAmysC8La283AjN4/WvpoE4Awfkx3Bnwt3VnLGxC5\noRktAdH47EGVBrQBloCY+HkXauxwB/ZaRQcGMny7Isw3dpnV/toW9SHGEtmd+fO/\nMg5oEgBqY80hn4aDYkyr42mbWdjFxAhWTpCk+FGV7HiBzA50L9GNUt0Cu7oVKiyq\nYnSO9fWKomQFtL7BpgVggkayM9NbVUBG9lSHhl8njBKONsuxWCHJX0d3xeggERc7\n+wIDAQAB\n-----END PUBLIC KEY-----\n",
 "p256": "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgi6uq4ak8dhUzdhmR\n3mbhMexwes1yWV5JTD1TrmLqVMShRANCAASkoWRFXThDWfyJrQfEjd6JPdP+yHBV\nvzcNe7aCvzEjIF2FPfyi2dkzlnXLqMFUg6T6Sjo+J6grZjXJwuvzyD1k\n-----END PRIVATE KEY-----\n",
 "p256Sec1": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIurquGpPHYVM3YZkd5m4THscHrNclleSUw9U65i6lTEoAoGCCqGSM49\nAwEHoUQDQgAEpKFkRV04Q1n8ia0HxI3eiT3T/shwVb83DXu2gr8xIyBdhT38otnZ\nM5Z1y6jBVIOk+ko6PieoK2Y1ycLr88g9ZA==\n-----END EC PRIVATE KEY-----\n",
 "p256Public": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpKFkRV04Q1n8ia0HxI3eiT3T/shw\nVb83DXu2gr8xIyBdhT38otnZM5Z1y6jBVIOk+ko6PieoK2Y1ycLr88g9ZA==\n-----END PUBLIC KEY-----\n",
 "p384": "-----BEGIN PRIVATE KEY-----\nMIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBT7NXNx3He38LsnyEV\nfeNAoX5hb5HYKUb91B/NMZZwksyGrv4ZOeQeX4g+kajUj2qhZANiAARuUawpIAbs\nQw1EvKLUgaqY+pQAFmRNPUv8W5h9aM3seJhgFrcGGi0oY87/v8giBcqJj7xFKB7C\nfspc6NrQGjHoCfZssHABGrtk+vNeK7LRiMq0JURocjPSrbuYk8KajbI=\n-----END PRIVATE KEY-----\n",
 "p384Sec1": "-----BEGIN EC PRIVATE KEY-----\nMIGkAgEBBDBT7NXNx3He38LsnyEVfeNAoX5hb5HYKUb91B/NMZZwksyGrv4ZOeQe\nX4g+kajUj2qgBwYFK4EEACKhZANiAARuUawpIAbsQw1EvKLUgaqY+pQAFmRNPUv8\nW5h9aM3seJhgFrcGGi0oY87/v8giBcqJj7xFKB7Cfspc6NrQGjHoCfZssHABGrtk\n+vNeK7LRiMq0JURocjPSrbuYk8KajbI=\n-----END EC PRIVATE KEY-----\n",
 "p384Public": "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEblGsKSAG7EMNRLyi1IGqmPqUABZkTT1L\n/FuYfWjN7HiYYBa3BhotKGPO/7/IIgXKiY+8RSgewn7KXOja0Box6An2bLBwARq7\nZPrzXiuy0YjKtCVEaHIz0q27mJPCmo2y\n-----END PUBLIC KEY-----\n",
 "p521": "-----BEGIN PRIVATE KEY-----\nMIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIA/Cw59fJ1IcCSVseo\nMMPCXExe0kmJ/8FEe83YLTHGLXgzuFRsLr68nHTkN97CCdbmqvC8mkRzn+T/+2M+\nPBja7I6hgYkDgYYABABSieLFxLi7+jGfCUtRuzwyX+Q1ywaFFHxDC4lNDva9//wN\nr+pNmbEjt0qaRFHQCcvkhViGQoPBceIdwaahfDdIigCheMtu6ek4nBxAq2OzNTJt\nFXqVcpLIFQKi756RTq6NCD0Vqc5m7Rk1YEPxouiuDrmQcV2eTJ3pNA3rfTEV6bav\nHA==\n-----END PRIVATE KEY-----\n",
 "p521Sec1": "-----BEGIN EC PRIVATE KEY-----\nMIHcAgEBBEIA/Cw59fJ1IcCSVseoMMPCXExe0kmJ/8FEe83YLTHGLXgzuFRsLr68\nnHTkN97CCdbmqvC8mkRzn+T/+2M+PBja7I6gBwYFK4EEACOhgYkDgYYABABSieLF\nxLi7+jGfCUtRuzwyX+Q1ywaFFHxDC4lNDva9//wNr+pNmbEjt0qaRFHQCcvkhViG\nQoPBceIdwaahfDdIigCheMtu6ek4nBxAq2OzNTJtFXqVcpLIFQKi756RTq6NCD0V\nqc5m7Rk1YEPxouiuDrmQcV2eTJ3pNA3rfTEV6bavHA==\n-----END EC PRIVATE KEY-----\n",
 "p521Public": "-----BEGIN PUBLIC KEY-----\nMIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAUonixcS4u/oxnwlLUbs8Ml/kNcsG\nhRR8QwuJTQ72vf/8Da/qTZmxI7dKmkRR0AnL5IVYhkKDwXHiHcGmoXw3SIoAoXjL\nbunpOJwcQKtjszUybRV6lXKSyBUCou+ekU6ujQg9FanOZu0ZNWBD8aLorg65kHFd\nnkyd6TQN630xFem2rxw=\n-----END PUBLIC KEY-----\n",
 "ed25519Public": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA8aL3SXar0UAZ+ZgsXN7eRfZUlNUPDgZoyNeiUc2GMQo=\n-----END PUBLIC KEY-----\n",
 "tokens": {
  "RS256": "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.LIXG2UwZNOwWQfDeENKfOqQBNHVeaM5OUMNLopu9SXLASqhXnPTKIHTlxO0RfXP1sX4m80B8uiMCDFapYFziOBoQPmDinL2aF2z0LK6HZ-FItYug_y1jHBjI2W0sVmLgyYvVJTZZ1XPVxJVsEfJVj2vfd70q6MjYxNz0XYzvDebMA2_G7Yzn-O7MEE_zcv0xeFbTEOLXcG52StWvRVc2gWJZfzzZcr_1xKncVMRuYKBgUhErfSWbzwsBtRZyfW4RpChmarT3NgLmqW_46572U6KTWGs9v4_jYgZAwhalTNnr8ldSMGLhXFDzBXw1VvkGk9rtxzlCrBw54ztjPv_SXQ",
  "RS384": "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.J7sGHK8q9ZK9_udyR7iuH5mHVJjJ0uTuXKo5S_EJXIH1SjODYmamCE93fnaw8hOXiD7wnJk1I17JPbwhmaQ1HS-_b9A9qZu-SITJnKnUh2Hu3pAc2JPe3_d37438j6bSahJ6Xl2wVkvCoQUm21mAi8xoyjVsr52mZW-3QmBwyoRCzIk-6xqwqbJ5HO1COvAru9niKfRMvyeAO1wiRdR0-qhzES8ER2F8Zz0pgJAao8GWqliXIMojtB_hf_QpqHN4aUpFdtCJ8N10Dj3X3lx0EdTvDde1wQRDCQ3utobn6ZvdHYxEPZE0lMvz2lGfXf1mP6L18wr9yHYB_6pJpUkxeA",
  "RS512": "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.N4pAs5jvSH75vLQ3kzEUpPNHCIkXmr03HMaBkvQTuNUdLUIqFqkGPfs0YvGQQWll-73uq7iJ-ft6cxNJJTyDFucy4vyCfunLjEJ8lKdu--MObO3tIp3l4oyho0iiZVz_H55C5FEUKvUitV7qyoX86vhWmGDLww8BFtGw7746eY5ng3Difg9b6YBYKQ1CYmbEYinYH9MP-Ycmqo0wSf0zyV8BuzjNM-6YmV3ShrFHrwnQIdCJJW9_OxRRpCSdbznGS4mdsO_2xZWS4ABiH1UGVI2z2ueSHCht9DFDXftA51nFVAKCGdv5n5lWpADKS7QAzXnFZ59TOB2-6cpmAznQsA",
  "PS256": "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.Q5AGlieCQRDJDduBTDaMmUqFWAxt7vmn4kxym8ek__r_-rVKaEJLO5YhIke7qH64IhHtOOgvy6UM8_iGIn7QplW7YZbfV_DWTLSSeuSKTle2VO4gsnacOBgxgVLQTe9RuxLJxMdhY82tG45wBcuDyEKhR-rSy2JqfsS1sBpADqHgJbRy-Vn8FjfMitNOk-aSL2-IC03ItGtzyw0-ZlaZKMbZuAR8iiBLegunRWlEQwENinu76zugpJRpaHQzPAyLHhz_xgu--dIiaz5YgJnmUU1H3LlY9DyGLelNoMPfCFGC3H8SPqEqW9715YANOom6GPNbnsIz7Bo_S1czIvKbtQ",
  "PS384": "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.FO_k5kl9H4blIOmyqFgxB9M0A8b_zUjIvLs0_49FHq9fYotluqh7z70O8xtNhVPaDwnrzoRoehpapbkPgYjQ9cl_LYAUFdHswQNROXcJkoq8eBoAOSPSFCarq3PIGS-91TS4qArHSp3f7BiHF0yft2TIwuieSbHv2ABBBr_ZrvPWlzqdkMW7Nj_2bxoyrZ1s8Q7M3IqVZWV6vchG8rr2Np6ZtfJ76M709YO6ntsTfkDZAWzPUZyNb6Yfvx2G43aF2a9Qx2-PVqwMnjGm-rSXFWP_dKSkznUzWhQZUDKi1tdlfEmNE6NEBZBQA0gIxLkgpQ2HpT7MAinHa_9SDTU1rg",
  "PS512": "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.hX0raxbNDDy86R0iYSMkWdFTh7uzXHJ0WYLqkelhjCIAlzF1JsHhy5e2wVbQhl86FOjMo5XLScyHliX836-bdSJdi8ZAmGtVZAg4maoCYaVgWAdtF0NaEfRN_y6zZNh06xp7CSSPgJGpiRBmuQwta-pUNZtp4PIO3UgIwuu6yb5cMWR5Hy3hvceWbJ-f_r15DyVgQ8Pg-6wbfY-8j3W9kFifOen2i4dLWOdDA3zzRI7CuLhnhYCFJJIZJI-_ePwWKgGmWC3VtHstcFCz_lOKCzKNBNhv-s6IQ407jOUTjGPYP57IZNjEL7PicgAvFM1IHQTfYZGXs8C7mF5N-M34Kw",
  "ES256": "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.Cr3oPbMrB9lBWJY8Y6IuuV4OLbsrYU72g_Ar9BuEy48it3l_BDHYuWTCEp8Pr3zemWDhjwYADqtsvzO_HlIMnw",
  "ES384": "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.Q7qNE9ufiBPbLcw98rrZh474taCzq3F_jgtZ69tvg0Z7WqvOHqLlBSJfBDUKAEBF1tH1wNLE1lRmPU4r7rRHWIkwKM8hu7psdeO3yWCK0Di6f26TTi8fRPmNy3FWXFTU",
  "ES512": "eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlhdCI6MTYwMDAwMDAwMH0.ABG7dn4syp2Xnee3OMpTdF3DcwqGQLB-TGxOhThJe8FEKcsu4R_MkUh2QmE3S__DvV6KgYf3D-JYG-S6Gi6Ryx_AAICBxFC6lxANajy-Td5t7Wof6ZLsxlQAdeq0L_pjtocykfuQ8BU7rkP5pu--u1WXLu0LRtEzxUlVqMP8sToYz-KU"
 },
 "pssMaxSalt": "MIDMBjR9AndvWjCNAADs6uP+kGAkRx8e0kim2GOGqcdGM0rQ2lnSZSacl+UmGGrC3h9cgMYriabil3TEN7Z+grGy9yVdpQLsXiJOPIdd1jenx8sUdWsDZiM5yLsHpBr3RwtoLG6upSp3Rd6SKPRyBQ8K2bbbnmqqTzm3oQsfOj4arQDGhFDqK0qdnFxCC/+ZHtgwYwA2/hJf3SVI5q3lCjgo7s9yEfPqqQ7YCyjX4euTAu6k4DGW4E/8i1vyYNlDNlnuGRVfEizvLwTH7JtKZwJzCMcjLdi5zBRTbQl1b8imUIquY4P+7uBAayuSVMYXH/P3VGje9+xEvTK8dZgz7A==",
 "pkcs1v15": "Wotk/N8nB5Nj8Q42OGej0pE3N09FredUIAZCGdab6sUrunsx0j7ePj0hvsk87RBAYpc3pxMHOL6w6ZP7jubyIAUyAk6XFTY9SfQO4NHQXsKyipWPyZi8X71muiAk4RXSFqXXJmynP1FC/3T9Eoz29/jbuS7yPXP4N9dNEeBszgTME1KJEjsh86W/vKM6JWKWf56gAbzK38QK6mjyvBf/oiF2sftXjgsemZTSrpQwzuBmzjw3Ei33j8OnEj5oQS6RNem0n9Agbq1Q/p/wvDNRECngpvRCQkZpY9UPgRau+2PhYwsgZAiurO25+eTYhZvcBZFYr8O535vUFUScUvqptQ=="
}
;let exports;
const failures = []; const show = (value) => { try { return JSON.stringify(value, (key, item) => (item === undefined ? "undefined" : typeof item === "bigint" ? `${item}n` : Object.is(item, -0) ? "-0" : typeof item === "number" && !Number.isFinite(item) ? String(item) : item)); } catch (error) { return `not shown: ${error.message}`; } }; const same = (name, actual, expected) => { if (show(actual) !== show(expected)) failures.push(`${name}: ${show(actual)} instead of ${show(expected)}`); }; const fails = (name, action, text) => { let value; try { value = action(); } catch (error) { if (!(error instanceof Error)) failures.push(`${name}: threw no Error`); else if (text !== undefined && !error.message.includes(text)) failures.push(`${name}: threw ${error.message}`); return; } failures.push(`${name}: did not fail, gave ${show(value)}`); };
// function-environment 2.6, FN-61 to FN-73: the BSON classes.
const HEX = "5e58667d902d38559c802b13";

exports = function () {
  const id = BSON.ObjectId(HEX);
  same("FN-61 with and without new", [id.toString(), new BSON.ObjectId(HEX).toString()], [HEX, HEX]);
  same("FN-61 instanceof", [id instanceof BSON.ObjectId, new BSON.ObjectId(HEX) instanceof BSON.ObjectId], [true, true]);
  same("FN-62 no own properties", Object.entries(new BSON.ObjectId()).length, 0);
  same("FN-62 not even hidden ones", Reflect.ownKeys(id), []);
  same("FN-63 tag", Object.prototype.toString.call(new BSON.ObjectId()), "[object ObjectId]");
  const keyed = {};
  keyed[id] = 1;
  same("FN-64 property key", Object.keys(keyed)[0], HEX);
  for (const text of ["xyz", "", HEX.slice(1), HEX + "0", "z".repeat(24), "\u20ac".repeat(12)]) {
    fails(`FN-66 ObjectId(${text})`, () => new BSON.ObjectId(text));
  }
  for (const value of [true, {}, [], Symbol("x"), () => 1]) fails("ObjectId of no id", () => BSON.ObjectId(value));

  same("12 bytes of text", BSON.ObjectId("abcdefghijkl").toHexString(), "6162636465666768696a6b6c");
  same("Buffer of 12", BSON.ObjectId(Buffer.from("abcdefghijkl")).toString(), "6162636465666768696a6b6c");
  same("upper case", BSON.ObjectId(HEX.toUpperCase()).toString(), HEX);
  same("copy", BSON.ObjectId(id).toString(), HEX);
  same("foreign ObjectId", BSON.ObjectId({ toHexString: () => HEX }).toString(), HEX);
  for (const nothing of [undefined, null]) same("generated", String(BSON.ObjectId(nothing)).length, 24);
  same("different each time", BSON.ObjectId().toString() === BSON.ObjectId().toString(), false);
  const now = Date.now();
  same("time of a new id", Math.abs(BSON.ObjectId().getTimestamp().getTime() - now) < 2000, true);
  same("getTimestamp", id.getTimestamp().getTime(), 0x5e58667d * 1000);
  same("equals", [id.equals(HEX.toUpperCase()), id.equals(BSON.ObjectId(HEX)), id.equals(null), id.equals("x"), id.equals(BSON.ObjectId())], [true, true, false, false, false]);
  same("isValid", [HEX, "x", 5, null, id, "abcdefghijkl"].map((x) => BSON.ObjectId.isValid(x)), [true, false, true, false, true, true]);
  same("createFromTime", String(BSON.ObjectId.createFromTime(1)), "000000010000000000000000");
  same("createFromHexString", String(BSON.ObjectId.createFromHexString(HEX)), HEX);
  same("alias", BSON.ObjectID === BSON.ObjectId, true);
  same("JSON", JSON.stringify({ id }), `{"id":"${HEX}"}`);
  same("template", `${id}`, HEX);
  class Mine extends BSON.ObjectId {}
  same("subclass", [new Mine(HEX) instanceof Mine, String(new Mine(HEX))], [true, HEX]);
  BSON.ObjectId.fromDate = () => "extended";
  BSON.ObjectId.prototype.short = function () { return this.toString().slice(0, 4); };
  same("extensible", [BSON.ObjectId.fromDate(), id.short()], ["extended", "5e58"]);

  const double = BSON.Double(1.5);
  same("FN-67", [double.valueOf() === 1.5, double + 1, double.toString(), double === 1.5, double < 2, double.value], [true, 2.5, "1.5", false, true, 1.5]);
  same("FN-68", BSON.Long(600206158, 342).toString(), "1469479021390");
  same("FN-69", [BSON.Int32().valueOf(), BSON.Double().valueOf(), BSON.Long().valueOf()], [0, 0, 0]);
  same("Int32", [BSON.Int32(7) + 1, BSON.Int32("7").value, String(BSON.Int32(-5)), JSON.stringify([BSON.Int32(5)])], [8, 7, "-5", "[5]"]);
  same("Double text", [String(BSON.Double(1)), String(BSON.Double(NaN)), JSON.stringify([BSON.Double(0.5)])], ["1", "NaN", "[0.5]"]);

  const long = BSON.Long;
  same("Long of one number", [String(long(-1)), String(long(5))], ["-1", "5"]);
  same("Long bounds", [String(long.MAX_VALUE), String(long.MIN_VALUE)], ["9223372036854775807", "-9223372036854775808"]);
  same("Long.fromNumber", [String(long.fromNumber(2 ** 53)), String(long.fromNumber(1e30)), String(long.fromNumber(NaN))], ["9007199254740992", "9223372036854775807", "0"]);
  same("Long.fromString", [String(long.fromString("-42")), String(long.fromString("ff", 16)), String(long.fromString("9223372036854775807"))], ["-42", "255", "9223372036854775807"]);
  for (const text of ["", "-", "x", "1.5", "9223372036854775808", "-9223372036854775809"]) fails(`Long.fromString(${text})`, () => long.fromString(text));
  same("Long.fromInt, fromBits", [String(long.fromInt(-7)), String(long.fromBits(-1, 0))], ["-7", "4294967295"]);
  same("Long parts", [long(600206158, 342).low, long(600206158, 342).high, long(-1).high], [600206158, 342, -1]);
  same("Long arithmetic", ["add", "subtract", "multiply", "divide", "modulo"].map((name) => String(long(17)[name](5))), ["22", "12", "85", "3", "2"]);
  same("Long wraps", String(long.MAX_VALUE.add(1)), "-9223372036854775808");
  fails("Long division by zero", () => long(1).divide(0));
  same("Long order", [long(1).compare(2), long(1).equals(1), long(2).greaterThan(long(1)), long(1).lessThan(0)], [-1, true, true, false]);
  same("Long as a number", [long(5) + 1, long(5) < 6, long(5).toNumber(), long(5).toInt(), JSON.stringify([long(5)])], [6, true, 5, 5, "[5]"]);

  const decimal = BSON.Decimal128;
  same("Decimal128", [String(decimal.fromString("0.10")), String(decimal("1.20")), JSON.stringify([decimal("1.20")])], ["0.10", "1.20", '["1.20"]']);
  for (const text of ["", "x", "1.2.3", "1e"]) fails(`Decimal128(${text})`, () => decimal.fromString(text));
  fails("Decimal128 of a huge text", () => decimal.fromString("1".repeat(1e6)));

  const { Binary } = BSON;
  same("FN-71", Binary.fromText("h\u00e9llo").toBase64(), "aMOpbGxv");
  for (const text of ["aGk", "aG k", "aGk=\n", "a===", "aG=k", "!!!!", "-_-_"]) fails(`FN-72 ${text}`, () => Binary.fromBase64(text));
  same("FN-72", Binary.fromBase64("aGk=").text(), "hi");
  same("FN-73", [Binary.fromHex("6869").text(), Binary.fromHex("6869").toHex(), Binary.fromHex("6869=").text(), Binary.fromHex("AbCd").toHex()], ["hi", "6869", "hi", "abcd"]);
  for (const text of ["686", "6g", "zz"]) fails(`fromHex(${text})`, () => Binary.fromHex(text));
  same("Binary text", [String(Binary.fromText("\u20ac")), `${Binary.fromHex("ff41")}`], ["\u20ac", "\ufffdA"]);
  same("Binary parts", [Binary.fromHex("6869", 5).subType, Binary.fromHex("6869").length(), Buffer.isBuffer(Binary.fromHex("6869").buffer)], [5, 2, true]);
  same("Binary JSON", JSON.stringify(Binary.fromHex("6869", 5)), '{"Subtype":5,"Data":"aGk="}');
  const bytes = new Uint8Array([1, 2, 3]);
  const copied = BSON.Binary(bytes);
  bytes[0] = 9;
  same("Binary copies", copied.toHex(), "010203");
  same("Binary empty", [BSON.Binary().text(), Binary.fromText("").length()], ["", 0]);

  same("BSONRegExp", [BSON.BSONRegExp("a", "xi").options, BSON.BSONRegExp("a").pattern, String(BSON.BSONRegExp("^H", "i")), JSON.stringify(BSON.BSONRegExp("^H", "i"))], ["ix", "a", "/^H/i", '{"Pattern":"^H","Options":"i"}']);
  same("keys as values", [String(BSON.MaxKey), `${BSON.MinKey}`, String(BSON.MaxKey()), String(new BSON.MinKey())], ["MaxKey", "MinKey", "MaxKey", "MinKey"]);
  same("keys have no own enumerable properties", [Object.keys(BSON.MaxKey), JSON.stringify({ k: BSON.MinKey })], [[], '{"k":{}}']);
  same("Timestamp", [String(BSON.Timestamp({ t: 1, i: 2 })), String(BSON.Timestamp(2, 1)), BSON.Timestamp(2, 1).t, JSON.stringify(BSON.Timestamp(2, 1))], ["Timestamp(1, 2)", "Timestamp(1, 2)", 1, '{"T":1,"I":2}']);
  same("DBRef", [BSON.DBRef("c", id).collection, BSON.DBRef("c", id).oid === id, BSON.DBRef("c", id, "d").db], ["c", true, "d"]);
  same("Code", [BSON.Code("x").code, BSON.Code("x", { a: 1 }).scope.a], ["x", 1]);
  same("BSONSymbol", String(BSON.BSONSymbol("s")), "s");
  const uuid = "00112233-4455-4677-8899-aabbccddeeff";
  same("UUID", [String(BSON.UUID(uuid)), BSON.UUID(uuid).subType, BSON.UUID() instanceof BSON.Binary, BSON.UUID(uuid).equals(BSON.UUID(uuid.replace(/-/g, "")))], [uuid, 4, true, true]);
  same("UUID is random", [BSON.UUID().toString()[14], BSON.UUID().toString() === BSON.UUID().toString()], ["4", false]);

  for (const name of Object.keys(BSON)) {
    const value = ["ObjectID", "ObjectId", "UUID", "Binary"].includes(name) ? new BSON[name]() : new BSON[name]("1", "1");
    const tag = name === "ObjectID" ? "ObjectId" : name;
    same(`${name} tag`, Object.prototype.toString.call(value), `[object ${tag}]`);
    same(`${name} own keys`, Reflect.ownKeys(value), []);
    same(`${name} constructor`, value.constructor === BSON[name] && value instanceof BSON[name], true);
    const descriptor = Object.getOwnPropertyDescriptor(BSON, name);
    same(`${name} stays writable and configurable`, [descriptor.writable, descriptor.configurable], [true, true]);
  }
  fails("a method of another class", () => BSON.ObjectId.prototype.toString.call(BSON.Long(1)));
  fails("a forged instance", () => BSON.ObjectId.prototype.toString.call(Object.create(BSON.ObjectId.prototype)));
  return failures;
};

const r = exports(KEYS); globalThis.DBG = r.then ? "async" : r.join("\n")+"\n"+failures.length+" failures"
}
